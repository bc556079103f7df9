//! A proxy before an HTTP server: it keeps answers back, or answers by itself, for as long as a test wants.

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
    /// A request that contains this is answered with this, and the server does not get it.
    own_answer: Option<(String, String)>,
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
                // A server that is down closes the client's connection.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let number = {
                    let mut state = locked(&shared.0);
                    state.asked.push(String::new());
                    state.asked.len() - 1
                };
                let (from, to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (state, back) = (shared.clone(), client.try_clone().expect("a handle"));
                std::thread::spawn(move || {
                    pass(from, to, |bytes| {
                        let answer = note(&state, number, bytes);
                        if let Some(answer) = &answer {
                            // The client may have gone away.
                            let _ = (&back).write_all(answer.as_bytes());
                        }
                        answer.is_none()
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

    /// Passes everything through again.
    pub fn let_go(&self) {
        let mut state = locked(&self.state.0);
        (state.holds, state.own_answer) = (false, None);
        self.state.1.notify_all();
    }

    /// From now on it is as if a registry of schemas did not have what is asked.
    pub fn hide(&self, question: &str) {
        self.answer(question, 404, r#"{"error_code":40403}"#);
    }

    /// From now on requests that contain `question` get this answer, and the server does not get them.
    pub fn answer(&self, question: &str, status: u16, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        locked(&self.state.0).own_answer = Some((question.to_owned(), answer));
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

/// The proxy's own answer to this. A request is small and arrives in one piece.
fn note(state: &(Mutex<State>, Condvar), connection: usize, bytes: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(bytes);
    let mut noted = locked(&state.0);
    noted.asked[connection].push_str(&said);
    state.1.notify_all();
    noted.own_answer.as_ref().filter(|(question, _)| said.contains(question)).map(|(_, answer)| answer.clone())
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
