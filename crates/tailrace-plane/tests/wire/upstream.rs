//! A scripted upstream: raw TCP, a thread per connection, any bytes as the answer to any request.
//!
//! It records the head of every request exactly as it arrived, counts connections and concurrent
//! requests, and notices when the plane leaves in the middle of a script. A byte that arrives while
//! a script plays is kept and read as the next request: smuggled or overlapping requests are never
//! lost.

use crate::patience::{now, PATIENCE};
pub(crate) use crate::seen::Seen;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// One move of an answer. A script without an end leaves the connection open for the next request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// The same bytes until the plane leaves.
    Endless(Vec<u8>),
    /// Byte by byte with a pause after each.
    Trickle(Vec<u8>, Duration),
    /// Nothing, for so long.
    Pause(Duration),
    /// Nothing, until the plane leaves.
    Hold,
    /// Nothing, until the test opens the gate.
    Wait(Arc<Gate>),
    Close,
    Reset,
}

/// Opened once by the test; scripts wait for it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.open.lock().expect("no panic holds it") = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().expect("no panic holds it");
        let waited = self
            .changed
            .wait_timeout_while(open, PATIENCE, |open| !*open);
        drop(waited.expect("no panic holds it"));
    }
}

/// Heads of a long run are counted, and the first of them kept.
const SEEN_MAX: usize = 100_000;

type Script = Box<dyn Fn(&Seen) -> Vec<Step> + Send + Sync>;

struct State {
    script: Script,
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
    active: AtomicUsize,
    active_max: AtomicUsize,
    abandoned: AtomicUsize,
    stopped: AtomicBool,
}

pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

impl Upstream {
    pub(crate) fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(State {
            script: Box::new(script),
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            active_max: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, state }
    }

    /// Answers every request with `{"id":"<last segment, still encoded>"}`.
    pub(crate) fn echo() -> Self {
        Self::start(|seen| vec![Step::Send(echo(seen))])
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, up to `SEEN_MAX`.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic holds it").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.count.load(SeqCst)
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    /// Requests being answered now.
    pub(crate) fn active(&self) -> usize {
        self.state.active.load(SeqCst)
    }

    pub(crate) fn active_max(&self) -> usize {
        self.state.active_max.load(SeqCst)
    }

    /// Scripts that ended because the plane closed the connection.
    pub(crate) fn abandoned(&self) -> usize {
        self.state.abandoned.load(SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stopped.store(true, SeqCst);
        // Wakes the accepting thread; if that fails there is none left to wake.
        drop(TcpStream::connect(self.address));
    }
}

/// A 200 with this JSON body.
pub(crate) fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "application/json", body)
}

pub(crate) fn answer(status: &str, content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn echo(seen: &Seen) -> Vec<u8> {
    let target = seen.target();
    let path = target.split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    json(format!(r#"{{"id":"{last}"}}"#))
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    while let Ok((stream, _)) = listener.accept() {
        if state.stopped.load(SeqCst) {
            return;
        }
        let index = state.connections.fetch_add(1, SeqCst);
        state.open.fetch_add(1, SeqCst);
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            let mut connection = Connection {
                stream,
                input: Vec::new(),
                state: &state,
            };
            connection.serve(index);
            drop(connection);
            state.open.fetch_sub(1, SeqCst);
        });
    }
}

struct Connection<'a> {
    stream: TcpStream,
    input: Vec<u8>,
    state: &'a State,
}

/// What is next after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Step,
    End,
    Gone,
}

impl Connection<'_> {
    fn serve(&mut self, index: usize) {
        self.stream.set_nodelay(true).expect("an open socket");
        while let Some(head) = self.read_head() {
            let seen = Seen {
                connection: index,
                body: self.read_body(&head),
                head,
            };
            let steps = (self.state.script)(&seen);
            let active = self.state.active.fetch_add(1, SeqCst) + 1;
            self.state.active_max.fetch_max(active, SeqCst);
            let mut all = self.state.seen.lock().expect("no panic holds it");
            if all.len() < SEEN_MAX {
                all.push(seen);
            }
            drop(all);
            self.state.count.fetch_add(1, SeqCst);
            let next = self.answer(steps);
            match next {
                Next::Step => {}
                Next::End => return,
                Next::Gone => {
                    self.state.abandoned.fetch_add(1, SeqCst);
                    return;
                }
            }
        }
    }

    /// As many bytes as the head announces.
    fn read_body(&mut self, head: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let mut lines = text.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        let mut bytes = [0; 16 * 1024];
        while self.input.len() < length {
            match self.stream.read(&mut bytes) {
                Ok(count) if count > 0 => self.input.extend_from_slice(&bytes[..count]),
                _ => break,
            }
        }
        let end = length.min(self.input.len());
        self.input.drain(..end).collect()
    }

    /// Plays a script. The request counts as answered before its last bytes are sent: once they
    /// are, the plane may send the next one.
    fn answer(&mut self, mut steps: Vec<Step>) -> Next {
        let last = steps.pop();
        let mut next = self.play(steps);
        let held = matches!(
            last,
            Some(Step::Hold | Step::Endless(_) | Step::Trickle(..))
        );
        if next == Next::Step && held {
            next = self.play(last.into_iter().collect());
            self.state.active.fetch_sub(1, SeqCst);
            return next;
        }
        self.state.active.fetch_sub(1, SeqCst);
        if next == Next::Step {
            next = self.play(last.into_iter().collect());
        }
        next
    }

    fn play(&mut self, steps: Vec<Step>) -> Next {
        for step in steps {
            let next = match step {
                Step::Send(bytes) => self.send(&bytes),
                Step::Endless(bytes) => loop {
                    if self.send(&bytes) == Next::Gone {
                        break Next::Gone;
                    }
                },
                Step::Trickle(bytes, pause) => self.trickle(&bytes, pause),
                Step::Pause(time) => self.pause(time),
                Step::Hold => self.pause(PATIENCE),
                Step::Wait(gate) => {
                    gate.wait();
                    Next::Step
                }
                Step::Close => Next::End,
                Step::Reset => {
                    let socket = socket2::SockRef::from(&self.stream);
                    socket
                        .set_linger(Some(Duration::ZERO))
                        .expect("an open socket");
                    Next::End
                }
            };
            if next != Next::Step {
                return next;
            }
        }
        Next::Step
    }

    fn send(&mut self, bytes: &[u8]) -> Next {
        match self.stream.write_all(bytes) {
            Ok(()) => Next::Step,
            Err(_) => Next::Gone,
        }
    }

    fn trickle(&mut self, bytes: &[u8], pause: Duration) -> Next {
        for byte in bytes {
            if self.send(&[*byte]) == Next::Gone || self.pause(pause) == Next::Gone {
                return Next::Gone;
            }
        }
        Next::Step
    }

    /// Waits for `time`, or less when the plane leaves. The wait is a read with a time limit.
    fn pause(&mut self, time: Duration) -> Next {
        const LOOK: Duration = Duration::from_millis(50);
        let until = now() + time;
        loop {
            let left = until.saturating_duration_since(now());
            if left.is_zero() || self.state.stopped.load(SeqCst) {
                return Next::Step;
            }
            match self.read(left.min(LOOK)) {
                Brought::Bytes | Brought::Nothing => {}
                Brought::End => return Next::Gone,
            }
        }
    }

    fn read_head(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.input.windows(4).position(|end| end == b"\r\n\r\n") {
                return Some(self.input.drain(..at + 4).collect());
            }
            match self.read(Duration::from_millis(250)) {
                Brought::Bytes => {}
                Brought::Nothing if !self.state.stopped.load(SeqCst) => {}
                Brought::Nothing | Brought::End => return None,
            }
        }
    }

    fn read(&mut self, limit: Duration) -> Brought {
        self.stream
            .set_read_timeout(Some(limit))
            .expect("a limit above zero");
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Brought::End,
            Ok(count) => {
                self.input.extend_from_slice(&bytes[..count]);
                Brought::Bytes
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Brought::Nothing
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Brought::Nothing,
            Err(_) => Brought::End,
        }
    }
}

/// What one read brought.
enum Brought {
    Bytes,
    Nothing,
    End,
}
