//! The proxy itself: each of its faults is what a client and a server would see of a real one.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ohx_tests::proxy::{Done, Manner, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each byte with ten.
async fn tenfold() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_all(&[byte; 10]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn world() -> (Proxy, TcpStream) {
    let proxy = Proxy::before(tenfold().await).await;
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, client)
}

/// Asks once; gives what came of the answer, and how the connection ended where it did.
async fn ask(client: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let (mut buffer, mut read) = ([0; 10], 0);
    if let Err(error) = client.write_u8(7).await {
        return (0, Some(error.kind()));
    }
    while read < 10 {
        match client.read(&mut buffer[read..]).await {
            Ok(0) => return (read, None),
            Ok(more) => read += more,
            Err(error) => return (read, Some(error.kind())),
        }
    }
    (read, None)
}

#[tokio::test]
async fn it_passes_both_ways_and_counts() {
    let (proxy, mut client) = world().await;
    assert_eq!(ask(&mut client).await, (10, None));
    assert_eq!(ask(&mut client).await, (10, None));
    assert_eq!(proxy.done(), Done { connections: 1, reset: 0, cut: 0, asked: 2, answered: 20 });
}

#[tokio::test]
async fn an_answer_is_cut_after_so_many_bytes_once() {
    let (proxy, mut client) = world().await;
    proxy.cut_answer(4);
    assert_eq!(ask(&mut client).await, (4, Some(ErrorKind::ConnectionReset)));
    assert_eq!(proxy.done().asked, 1, "the server has it");
    assert!(!proxy.spare_answer(), "it was used up");
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client).await, (10, None));
    // Longer than one answer: the next is cut.
    proxy.cut_answer(15);
    assert_eq!(ask(&mut client).await, (10, None));
    assert_eq!(ask(&mut client).await, (5, Some(ErrorKind::ConnectionReset)));
    assert_eq!(proxy.done().cut, 2);
}

#[tokio::test]
async fn what_is_down_resets_old_and_new_connections_until_it_is_up() {
    let (proxy, mut client) = world().await;
    assert_eq!(ask(&mut client).await, (10, None));
    proxy.behave(Manner::Down);
    assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(another.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.behave(Manner::Pass);
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut another).await, (10, None));
    assert_eq!(proxy.done().reset, 2);
    // Cut once, and up all the time.
    proxy.sever();
    assert_eq!(another.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut another).await, (10, None));
}

#[tokio::test]
async fn silence_ends_and_what_was_said_arrives() {
    let (proxy, mut client) = world().await;
    proxy.behave(Manner::Stall);
    let silence = tokio::time::timeout(Duration::from_millis(100), ask(&mut client)).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.behave(Manner::Pass);
    let mut answer = [0; 10];
    client.read_exact(&mut answer).await.unwrap();
    proxy.behave(Manner::Late(Duration::from_millis(80)));
    let began = Instant::now();
    assert_eq!(ask(&mut client).await, (10, None));
    assert!(began.elapsed() >= Duration::from_millis(80));
}
