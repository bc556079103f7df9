//! A wire between a client and a server of any protocol, which a test cuts, or stalls in one direction.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::locked;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

pub struct Wire {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    stalled: Option<Way>,
    is_cut: bool,
    /// Both ends of every connection.
    open: Vec<TcpStream>,
}

impl Wire {
    /// Passes everything through, before the server of an address such as `postgres://user@host:port/database`.
    pub fn before(url: &str) -> Wire {
        let server = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                // While it is cut, or the server is away, whoever connects is turned away.
                let server = if locked(&shared.0).is_cut { None } else { TcpStream::connect(&server).ok() };
                if let Some(server) = server {
                    connect(&shared, &client, &server);
                }
            }
        });
        Wire { port, state }
    }

    /// The same address by way of the wire.
    pub fn through(&self, url: &str) -> String {
        url.replacen(authority(url), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Nothing passes in this direction, and neither side gets an error.
    pub fn stall(&self, way: Way) {
        locked(&self.state.0).stalled = Some(way);
    }

    /// Ends all connections, and takes none.
    pub fn cut(&self) {
        let mut state = locked(&self.state.0);
        state.is_cut = true;
        for end in state.open.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub fn let_go(&self) {
        let mut state = locked(&self.state.0);
        state.stalled = None;
        state.is_cut = false;
        self.state.1.notify_all();
    }
}

fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap_or(("", url));
    rest.split('/').next().unwrap_or(rest)
}

fn connect(state: &Arc<(Mutex<State>, Condvar)>, client: &TcpStream, server: &TcpStream) {
    let handle = |stream: &TcpStream| stream.try_clone().expect("a handle");
    locked(&state.0).open.extend([handle(client), handle(server)]);
    for (from, to, way) in [(client, server, Way::ToServer), (server, client, Way::ToClient)] {
        let (state, from, to) = (state.clone(), handle(from), handle(to));
        std::thread::spawn(move || pass(&state, from, to, way));
    }
}

fn pass(state: &(Mutex<State>, Condvar), mut from: TcpStream, mut to: TcpStream, way: Way) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let goes_on = state.1.wait_while(locked(&state.0), |state| state.stalled == Some(way));
        drop(goes_on.unwrap_or_else(PoisonError::into_inner));
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
