//! Stands before a server that answers questions, and keeps its answers back, or knows less than it, for as long as a test wants.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::{PATIENCE, locked};

pub struct Proxy {
    /// As the server's, but for host and port.
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    holds: bool,
    /// What the server is not asked.
    hidden: Option<String>,
    /// What came in, by connection.
    asked: Vec<String>,
}

impl Proxy {
    /// Passes everything through, until [`Proxy::hold`].
    pub fn before(url: &str) -> Proxy {
        let rest = url.strip_prefix("http://").expect("a server without TLS");
        let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}{path}", listener.local_addr().expect("its address"));
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let (server, shared) = (server.to_owned(), state.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&server).expect("the server listens");
                let number = {
                    let mut state = locked(&shared.0);
                    state.asked.push(String::new());
                    state.asked.len() - 1
                };
                let (from, to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (state, back) = (shared.clone(), client.try_clone().expect("a handle"));
                std::thread::spawn(move || {
                    pass(from, to, |bytes| {
                        let is_hidden = note(&state, number, bytes);
                        if is_hidden {
                            // Who asks may have gone away.
                            let _ = (&back).write_all(NOT_FOUND);
                        }
                        !is_hidden
                    });
                });
                let state = shared.clone();
                std::thread::spawn(move || {
                    pass(server, client, |_| {
                        await_open(&state);
                        true
                    });
                });
            }
        });
        Proxy { url, state }
    }

    pub fn hold(&self) {
        locked(&self.state.0).holds = true;
    }

    pub fn let_go(&self) {
        locked(&self.state.0).holds = false;
        self.state.1.notify_all();
    }

    /// From now on it is as if a registry of schemas did not have what is asked.
    pub fn hide(&self, question: &str) {
        locked(&self.state.0).hidden = Some(question.to_owned());
    }

    /// How often this was asked.
    pub fn asked(&self, question: &str) -> usize {
        locked(&self.state.0).count(question)
    }

    pub fn await_asked(&self, question: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = locked(&self.state.0);
        while state.count(question) == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody has asked {question:?} within {PATIENCE:?}");
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn count(&self, question: &str) -> usize {
        self.asked.iter().map(|asked| asked.matches(question).count()).sum()
    }
}

/// As a registry says that it has no such schema.
const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"error_code\":40403}";

/// Whether this is hidden. A question is small and comes in one piece.
fn note(state: &(Mutex<State>, Condvar), connection: usize, bytes: &[u8]) -> bool {
    let said = String::from_utf8_lossy(bytes);
    let mut noted = locked(&state.0);
    noted.asked[connection].push_str(&said);
    state.1.notify_all();
    noted.hidden.as_ref().is_some_and(|hidden| said.contains(hidden))
}

fn await_open(state: &(Mutex<State>, Condvar)) {
    let open = state.1.wait_while(locked(&state.0), |state| state.holds);
    drop(open.unwrap_or_else(PoisonError::into_inner));
}

/// What shall go on, until either side goes away.
fn pass(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if goes_on(&bytes[..count]) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
