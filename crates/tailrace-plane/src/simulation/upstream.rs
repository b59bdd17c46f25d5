//! A simulated upstream: one address that answers as its script says, and remembers.
//!
//! With `servers` it has a capacity: requests wait for a free server in order, and a server
//! finishes what it began although nobody may wait for it any more. That is what lets an overload
//! outlive its cause.

use super::network::{TcpListener, TcpStream};
use crate::clock;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tailrace_policy::Nanos;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::{spawn_local, JoinHandle};
use tokio::time::sleep;

/// What a script decides about one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Time from having a server to the answer; `None`: never.
    pub after: Option<Duration>,
    pub bytes: Vec<u8>,
    /// The connection ends after the answer.
    pub close: bool,
    /// The answer leaves in two pieces, this far apart.
    pub pause: Option<Duration>,
}

impl Answer {
    /// JSON with this status.
    pub fn json(after: Duration, status: u16, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Simulated\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        Self::raw(after, (head + body).into_bytes())
    }

    pub fn raw(after: Duration, bytes: Vec<u8>) -> Self {
        Self {
            after: Some(after),
            bytes,
            close: false,
            pause: None,
        }
    }

    pub fn never() -> Self {
        Self {
            after: None,
            bytes: Vec::new(),
            close: false,
            pause: None,
        }
    }

    /// The connection ends after the bytes.
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Nanos,
    pub target: String,
    pub request_id: String,
    /// What the caller said it would wait.
    pub timeout_ms: u64,
}

pub type Script = Box<dyn FnMut(&Seen) -> Answer>;

/// What happened at one address.
#[derive(Default)]
pub struct Record {
    /// When each request arrived.
    pub arrivals: RefCell<Vec<Nanos>>,
    /// When the last attempt for each inbound request arrived.
    pub last: RefCell<BTreeMap<String, Nanos>>,
    /// What callers said they would wait, at most.
    pub timeout_max_ms: Cell<u64>,
    /// Bytes that came before the answer to what came before them.
    pub overlaps: Cell<u64>,
    /// Requests whose caller left first.
    pub abandoned: Cell<u64>,
}

/// All that is under way between the service and its upstreams.
#[derive(Default)]
pub struct Traffic {
    active: RefCell<Vec<Active>>,
    /// Requests of one upstream at the same time, over all its addresses, at most.
    upstream_max: RefCell<BTreeMap<usize, usize>>,
    /// Requests for one inbound request at the same time, at most.
    request_max: Cell<usize>,
    next: Cell<u64>,
}

impl Traffic {
    fn count(&self, wanted: impl Fn(&Active) -> bool) -> usize {
        let active = self.active.borrow();
        let waiting = |one: &&Active| wanted(one) && !one.stream.peer_left();
        active.iter().filter(waiting).count()
    }

    fn enter(&self, upstream: usize, seen: &Seen, stream: &Rc<TcpStream>) -> u64 {
        let id = self.next.replace(self.next.get() + 1);
        self.active.borrow_mut().push(Active {
            id,
            upstream,
            request_id: seen.request_id.clone(),
            stream: Rc::clone(stream),
        });
        let of_upstream = self.count(|one| one.upstream == upstream);
        let mut maxima = self.upstream_max.borrow_mut();
        let most = maxima.entry(upstream).or_default();
        *most = (*most).max(of_upstream);
        let of_request = self.count(|one| one.request_id == seen.request_id);
        self.request_max.set(self.request_max.get().max(of_request));
        id
    }

    fn leave(&self, id: u64) {
        self.active.borrow_mut().retain(|one| one.id != id);
    }

    /// Requests whose caller still waits for them.
    pub fn active(&self) -> usize {
        self.count(|_| true)
    }

    pub fn upstream_max(&self, upstream: usize) -> usize {
        self.upstream_max
            .borrow()
            .get(&upstream)
            .copied()
            .unwrap_or(0)
    }

    pub fn request_max(&self) -> usize {
        self.request_max.get()
    }
}

pub struct Upstream {
    /// Which upstream of the service this is an address of.
    pub index: usize,
    pub address: SocketAddr,
    pub record: Record,
    script: RefCell<Script>,
    servers: Option<Rc<Semaphore>>,
    traffic: Rc<Traffic>,
}

/// A request that is being answered.
struct Active {
    id: u64,
    upstream: usize,
    request_id: String,
    stream: Rc<TcpStream>,
}

impl Upstream {
    /// Listens at `address`; `servers` requests are worked on at the same time, or all.
    pub fn start(
        index: usize,
        address: SocketAddr,
        servers: Option<usize>,
        script: Script,
        traffic: &Rc<Traffic>,
    ) -> (Rc<Self>, JoinHandle<()>) {
        let upstream = Rc::new(Self {
            index,
            address,
            record: Record::default(),
            script: RefCell::new(script),
            servers: servers.map(|servers| Rc::new(Semaphore::new(servers))),
            traffic: Rc::clone(traffic),
        });
        let listener = TcpListener::listen(address);
        let accepting = spawn_local(accept(Rc::clone(&upstream), listener));
        (upstream, accepting)
    }

    fn note(&self, seen: &Seen) {
        self.record.arrivals.borrow_mut().push(seen.at);
        let longest = self.record.timeout_max_ms.get().max(seen.timeout_ms);
        self.record.timeout_max_ms.set(longest);
        let mut last = self.record.last.borrow_mut();
        last.insert(seen.request_id.clone(), seen.at);
    }
}

async fn accept(upstream: Rc<Upstream>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let upstream = Rc::clone(&upstream);
        spawn_local(async move {
            connection(&upstream, stream).await.ok();
        });
    }
}

/// One request after the other until an end.
async fn connection(upstream: &Rc<Upstream>, stream: TcpStream) -> io::Result<()> {
    let mut stream = stream;
    let mut input = Vec::new();
    loop {
        let Some(seen) = read_request(&mut stream, &mut input).await? else {
            return Ok(());
        };
        let shared = Rc::new(stream);
        upstream.note(&seen);
        let id = upstream.traffic.enter(upstream.index, &seen, &shared);
        let answer = (upstream.script.borrow_mut())(&seen);
        let waited = wait(upstream, &shared, answer.after).await;
        upstream.traffic.leave(id);
        let Ok(own) = Rc::try_unwrap(shared) else {
            return Err(io::Error::other(
                "the list of active requests kept a stream",
            ));
        };
        stream = own;
        match waited {
            Waited::Done => {}
            Waited::Left => {
                upstream
                    .record
                    .abandoned
                    .set(upstream.record.abandoned.get() + 1);
                return Ok(());
            }
            Waited::Overlap => {
                upstream
                    .record
                    .overlaps
                    .set(upstream.record.overlaps.get() + 1);
                return Ok(());
            }
        }
        write(&mut stream, &answer).await?;
        if answer.close {
            return Ok(());
        }
    }
}

async fn write(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let Some(pause) = answer.pause else {
        return stream.write_all(&answer.bytes).await;
    };
    let (first, second) = answer.bytes.split_at(answer.bytes.len() / 2);
    stream.write_all(first).await?;
    sleep(pause).await;
    stream.write_all(second).await
}

enum Waited {
    Done,
    /// The caller closed its connection.
    Left,
    /// The caller sent something before it had its answer.
    Overlap,
}

/// Works on a request, and notices when nobody waits for it.
async fn wait(upstream: &Upstream, stream: &TcpStream, after: Option<Duration>) -> Waited {
    let gone = poll_fn(|context| stream.poll_read_ready(context));
    let Some(after) = after else {
        return match &upstream.servers {
            None => watch(gone, pending::<()>(), stream).await,
            Some(servers) => {
                let held = servers.acquire().await;
                let waited = watch(gone, pending::<()>(), stream).await;
                drop(held);
                waited
            }
        };
    };
    let Some(servers) = &upstream.servers else {
        return watch(gone, sleep(after), stream).await;
    };
    // A task of its own: the work goes on when the caller has left.
    let servers = Rc::clone(servers);
    let work = spawn_local(async move {
        let server = servers.acquire().await;
        sleep(after).await;
        drop(server);
    });
    watch(gone, work, stream).await
}

async fn watch<T>(
    gone: impl std::future::Future<Output = io::Result<()>>,
    work: impl std::future::Future<Output = T>,
    stream: &TcpStream,
) -> Waited {
    tokio::select! {
        biased;
        _ = work => Waited::Done,
        _ = gone => match stream.try_read(&mut [0]) {
            Ok(count) if count > 0 => Waited::Overlap,
            _ => Waited::Left,
        },
    }
}

/// Reads up to the end of a head; `None` when the caller is done.
async fn read_request(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Option<Seen>> {
    input.clear();
    while !input.ends_with(b"\r\n\r\n") {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(input);
    let header = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    Ok(Some(Seen {
        at: clock::now(),
        target: text.split(' ').nth(1).unwrap_or_default().to_owned(),
        request_id: header("x-request-id: "),
        timeout_ms: header("x-envoy-expected-rq-timeout-ms: ")
            .parse()
            .unwrap_or(0),
    }))
}
