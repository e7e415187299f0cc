//! A TCP proxy that can be told to behave badly, while it runs.
//!
//! It stands before a server and hands bytes on. [`Manner`] is what it does to every connection until it is told
//! otherwise; [`Proxy::cut_answer`] hits the next answer only, after so many bytes of it; [`Proxy::sever`] resets what is
//! open now. A reset is a real one (RST): neither side can take it for an orderly end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing happens to them.
    Pass,
    /// New ones are reset at once, and so are those that are open.
    Down,
    /// Nothing moves in either direction; what was sent meanwhile arrives later.
    Stall,
    /// Every piece of an answer comes so much later.
    Late(Duration),
}

/// What the proxy has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Connections that were taken.
    pub connections: u64,
    /// Connections that were reset because the proxy was [`Manner::Down`], or by [`Proxy::sever`].
    pub reset: u64,
    /// Answers that were cut.
    pub cut: u64,
    /// Bytes that went to the server.
    pub asked: u64,
    /// Bytes that came back.
    pub answered: u64,
}

/// The proxy. Clones are the same proxy; it ends with the runtime that it was started in.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    target: SocketAddr,
    /// The manner, and how often connections were severed.
    told: watch::Sender<(Manner, u64)>,
    /// After how many bytes the next answer is cut.
    cut: Mutex<Option<u64>>,
    connections: AtomicU64,
    reset: AtomicU64,
    cuts: AtomicU64,
    asked: AtomicU64,
    answered: AtomicU64,
}

/// How a connection ended.
enum End {
    /// As its two sides wanted.
    Orderly,
    /// By a reset.
    Reset,
}

impl Proxy {
    /// Starts one before a server, on a free port of this machine.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inner = Arc::new(Inner {
            address: listener.local_addr().expect("an address"),
            target,
            told: watch::Sender::new((Manner::Pass, 0)),
            cut: Mutex::new(None),
            connections: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let inner = Arc::clone(&accepting);
                tokio::spawn(async move { inner.serve(client).await });
            }
        });
        Self(inner)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// From now on it behaves so.
    pub fn behave(&self, manner: Manner) {
        self.0.told.send_modify(|told| told.0 = manner);
    }

    /// How it behaves.
    pub fn manner(&self) -> Manner {
        self.0.told.borrow().0
    }

    /// Resets every connection that is open; new ones are taken.
    pub fn sever(&self) {
        self.0.told.send_modify(|told| told.1 += 1);
    }

    /// The next answer is cut after so many of its bytes, and its connection reset. What was asked has reached the server.
    pub fn cut_answer(&self, after: u64) {
        *self.0.cut() = Some(after);
    }

    /// No answer is to be cut any more. `true` where one still was.
    pub fn spare_answer(&self) -> bool {
        self.0.cut().take().is_some()
    }

    /// What it has done so far.
    pub fn done(&self) -> Done {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Done {
            connections: read(&self.0.connections),
            reset: read(&self.0.reset),
            cut: read(&self.0.cuts),
            asked: read(&self.0.asked),
            answered: read(&self.0.answered),
        }
    }
}

impl Inner {
    fn cut(&self) -> MutexGuard<'_, Option<u64>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, client: TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let told = self.told.subscribe();
        let severed = told.borrow().1;
        let end = match told.borrow().0 {
            Manner::Down => None,
            _ => Some(severed),
        };
        let (mut client, mut server) = (client, None);
        let end = match end {
            None => End::Reset,
            Some(severed) => match TcpStream::connect(self.target).await {
                Err(_) => End::Reset,
                Ok(mut connected) => {
                    let end = self.relay(&mut client, &mut connected, told, severed).await;
                    server = Some(connected);
                    end
                }
            },
        };
        if let End::Reset = end {
            self.reset.fetch_add(1, Ordering::SeqCst);
            for stream in std::iter::once(&client).chain(&server) {
                // Without it the other side would see an orderly end. The stream may be gone already.
                let _gone = stream.set_zero_linger();
            }
        }
    }

    async fn relay(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        mut told: watch::Receiver<(Manner, u64)>,
        severed: u64,
    ) -> End {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let asking = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                self.moves().await;
                self.asked.fetch_add(read as u64, Ordering::SeqCst);
                if to_server.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            // The other direction may go on.
            let _gone = to_server.shutdown().await;
        };
        let answering = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                self.moves().await;
                let (pass, cut) = self.spared(read as u64);
                self.answered.fetch_add(pass, Ordering::SeqCst);
                if to_client.write_all(&buffer[..pass as usize]).await.is_err() {
                    break;
                }
                if cut {
                    return End::Reset;
                }
            }
            let _gone = to_client.shutdown().await;
            End::Orderly
        };
        let both = async {
            let answering = std::pin::pin!(answering);
            let asking = std::pin::pin!(asking);
            match futures_util::future::select(answering, asking).await {
                futures_util::future::Either::Left((end, _)) => end,
                futures_util::future::Either::Right(((), answering)) => answering.await,
            }
        };
        tokio::select! {
            end = both => end,
            // An error means that the proxy is gone.
            _ = told.wait_for(|told| told.0 == Manner::Down || told.1 > severed) => End::Reset,
        }
    }

    /// Waits as long as nothing moves, or is late.
    async fn moves(&self) {
        let mut told = self.told.subscribe();
        let manner = told.borrow_and_update().0;
        match manner {
            Manner::Late(wait) => tokio::time::sleep(wait).await,
            Manner::Stall => {
                // An error means that the proxy is gone.
                let _moves = told.wait_for(|told| told.0 != Manner::Stall).await.is_ok();
            }
            Manner::Pass | Manner::Down => {}
        }
    }

    /// How much of a piece of an answer passes, and whether it is cut behind that.
    fn spared(&self, read: u64) -> (u64, bool) {
        let mut cut = self.cut();
        match *cut {
            None => (read, false),
            Some(after) if after >= read => {
                *cut = Some(after - read);
                (read, false)
            }
            Some(after) => {
                *cut = None;
                self.cuts.fetch_add(1, Ordering::SeqCst);
                (after, true)
            }
        }
    }
}
