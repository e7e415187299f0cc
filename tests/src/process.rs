//! The functions as processes of their own, whose logs are kept and searched.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::until;

/// A port that was free a moment ago, and that no other caller in this process is given. It lies below those that the system
/// hands out for outgoing connections: one of them would take it before the process that it is for has started, and then
/// somebody else answers there.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    loop {
        let port = 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// A binary of the workspace.
pub fn binary(name: &str) -> PathBuf {
    binaries().join(name)
}

/// The folder of the binaries, beside the test's own.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.parent().and_then(Path::parent).expect("target/<profile>/deps").to_owned()
}

/// A process that can be killed and started again, as it was.
pub struct Process {
    /// The binary's name.
    pub name: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    log: PathBuf,
    /// Where it listens.
    pub port: u16,
    child: Option<Child>,
}

impl Process {
    /// Starts a binary with only these variables, and `PORT`; its output is added to a log in `folder`.
    pub fn start(
        name: &str,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
        folder: &Path,
    ) -> Self {
        let port = free_port();
        let mut environment = environment.clone();
        environment.insert("PORT".into(), port.to_string());
        let mut process = Self {
            name: name.to_owned(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            environment,
            log: folder.join(format!("{name}.log")),
            port,
            child: None,
        };
        process.restart();
        process
    }

    /// Starts it (again).
    pub fn restart(&mut self) {
        let binary = binaries().join(&self.name);
        assert!(
            binary.exists(),
            "{} is not built: run make test, or cargo build --workspace --bins",
            binary.display()
        );
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let child = Command::new(binary)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the process starts");
        self.child = Some(child);
    }

    /// From its next start on a variable has another value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Whether it has been started, and not ended by us.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Its id.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it says that it and what it needs are ready.
    pub async fn ready(&self, http: &reqwest::Client) {
        let url = format!("{}/readyz", self.url());
        until(&format!("{} is ready; see {}", self.name, self.log.display()), 60, async || {
            http.get(&url).send().await.ok().filter(|r| r.status().is_success())
        })
        .await;
        // Another process may have answered.
        assert!(!self.log().contains("cannot be listened on"), "{}", self.log());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }

    /// Sends SIGTERM, and does not wait.
    pub fn ask_to_end(&self) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }

    /// SIGTERM, and its exit code; panics where it has not ended after ten seconds.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.ask_to_end();
        self.ended().await
    }

    /// Its exit code after [`Process::ask_to_end`]; panics where it has not ended after ten seconds.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        until(&format!("{} ends after SIGTERM", self.name), 10, async || child.try_wait().expect("a state"))
            .await
            .code()
    }

    /// Waits for it to end by itself, and gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.take().and_then(|mut child| child.wait().ok()).and_then(|status| status.code())
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For a moment in which nothing is expected: only to give the machine air between kills.
pub async fn breathe(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
