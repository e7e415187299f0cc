//! A function's start to its first answered request, and its idle memory: 50 starts each, as processes of their own.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 50;
const FUNCTIONS: [&str; 11] = [
    "oauth",
    "webhook",
    "nightly",
    "fetch",
    "transform",
    "publish",
    "devices",
    "relay",
    "api",
    "console",
    "metrics",
];

fn main() {
    println!(
        "{STARTS} starts each; start to first answered request in ms, idle memory in MiB, binary in MiB"
    );
    println!("{:<10} {:>7} {:>7} {:>8} {:>8}", "function", "p50", "p95", "memory", "binary");
    for function in FUNCTIONS {
        let binary = ohx_tests::binaries::optimised(&format!("ohx-{function}"));
        let file = std::fs::metadata(&binary).unwrap();
        let mut times = Vec::new();
        let mut memory = 0;
        for _ in 0..STARTS {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let began = Instant::now();
            let mut child = start(&binary, port);
            while status(port, "/livez") != Some(200) {
                assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "{function} did not answer: {:?}",
                    child.try_wait()
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            if times.len() == STARTS {
                // With its connections, and nothing to do.
                while status(port, "/readyz").is_none() {}
                std::thread::sleep(Duration::from_secs(1));
                memory = resident_kib(child.id());
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        times.sort_by(f64::total_cmp);
        let (p50, p95) = (times[STARTS / 2], times[STARTS * 95 / 100]);
        println!(
            "{function:<10} {p50:>7.1} {p95:>7.1} {:>8.1} {:>8.1}",
            memory as f64 / 1024.0,
            file.len() as f64 / 1048576.0
        );
    }
}

fn start(binary: &PathBuf, port: u16) -> Child {
    let key = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";
    Command::new(binary)
        .env_clear()
        .env("PORT", port.to_string())
        .env("DATABASE_URL", std::env::var("OHX_TEST_POSTGRES_URL").unwrap())
        .env("REDIS_URL", std::env::var("OHX_TEST_REDIS_URL").unwrap())
        .env("OHX_BUS", "redis")
        .env("OHX_KEYS", format!("k1:{key}"))
        .env("OHX_API_KEY", key)
        .env("OHX_API_URL", "http://127.0.0.1:1")
        .env("OHX_PUBLIC_URL", "http://127.0.0.1:8080")
        .env("OHX_IDENTIFIER_BASE", "http://127.0.0.1:8080/ns")
        .env("OHX_FETCH_URL", "http://127.0.0.1:1")
        .env("OHX_TRANSFORM_URL", "http://127.0.0.1:1")
        .env("OHX_DEVICES_URL", "http://127.0.0.1:1")
        .env("OHX_PUBLISH_URL", "http://127.0.0.1:1")
        .env("OHX_NIGHTLY_URL", "http://127.0.0.1:1")
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The status that an address answers with.
fn status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut first = [0_u8; 12];
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    stream.read_exact(&mut first).ok()?;
    std::str::from_utf8(&first).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// The resident set of a process, from `/proc`.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
