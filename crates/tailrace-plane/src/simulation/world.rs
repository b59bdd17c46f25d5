//! One run of a story: a service, its upstreams and its clients on one thread, from the first
//! request until everything has come to rest.

use super::client::{Clients, Record};
use super::ledger;
use super::network::{self, TcpListener};
use super::upstream::{Script, Traffic, Upstream};
use crate::clock::{self, simulated, MILLI};
use crate::program::Program;
use crate::shared::{Phase, Shared};
use crate::worker::Worker;
use crate::{resolve, server};
use serde_json::Value;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tailrace_blueprint::Blueprint;
use tailrace_policy::Nanos;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, JoinHandle};
use tokio::time::sleep_until;

/// Where the service listens.
pub const SERVICE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// Width of a step of the curve.
pub const STEP: Nanos = 100 * MILLI;
/// After the last reply: longer than idle connections are kept and swept.
const REST: Duration = Duration::from_secs(6);

/// One address of an upstream.
pub struct Machine {
    /// Which upstream of the blueprint it belongs to.
    pub upstream: usize,
    pub address: SocketAddr,
    pub servers: Option<usize>,
    pub script: Script,
}

/// What is played.
pub struct Story {
    pub blueprint: Value,
    pub workers: usize,
    pub machines: Vec<Machine>,
    /// Offered load: until so many milliseconds, so many requests a second.
    pub load: Vec<(u64, u64)>,
    /// One client in so many leaves before its reply.
    pub leaves_one_in: Option<u64>,
    /// The path of request number so and so.
    pub target: fn(u64) -> String,
}

/// How much was under way at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub requests: u64,
    pub calls: u64,
}

/// What happened.
pub struct Run {
    pub started: Nanos,
    pub records: Vec<Record>,
    pub upstreams: Vec<Rc<Upstream>>,
    pub traffic: Rc<Traffic>,
    pub shared: Arc<Shared>,
    /// One per `STEP`.
    pub samples: Vec<Sample>,
}

/// Runs `simulated` under virtual time that starts anew, in a network that is empty.
pub fn within<T>(seed: u64, simulated: impl Future<Output = T>) -> T {
    network::reset(seed);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(async {
        let _time = simulated::FromHere::start();
        simulated.await
    })
}

/// What the workers of a service share, resolved; every address is a literal.
pub fn shared(blueprint: &Value, workers: usize) -> Arc<Shared> {
    let blueprint = Blueprint::from_json(blueprint.to_string().as_bytes());
    let blueprint =
        blueprint.unwrap_or_else(|problems| panic!("a story's blueprint: {problems:?}"));
    let program = Program::compile(&blueprint).unwrap_or_else(|error| panic!("{error}"));
    let shared = Arc::new(Shared::new(
        Arc::new(program),
        workers,
        Vec::new(),
        b"{}".to_vec(),
    ));
    assert!(
        resolve::only_literals(&shared),
        "a simulation asks no resolver"
    );
    assert!(resolve::resolve_all(&shared).is_empty());
    shared
}

/// Starts the workers; they end when `shared` drains.
pub fn serve(shared: &Arc<Shared>, seed: u64) -> Vec<JoinHandle<()>> {
    let start = |index| {
        let worker = Worker::new(index, shared, None, seed.wrapping_add(index as u64));
        let listener = TcpListener::listen(SERVICE);
        spawn_local(async move { server::serve(&worker, listener).await })
    };
    (0..shared.metrics.len()).map(start).collect()
}

/// Plays `story` and checks what must be true of every run.
pub fn play(story: Story, seed: u64) -> Run {
    within(seed, async move {
        let shared = shared(&story.blueprint, story.workers);
        let traffic = Rc::new(Traffic::default());
        let (mut upstreams, mut accepting) = (Vec::new(), Vec::new());
        for machine in story.machines {
            let Machine {
                upstream: index,
                address,
                servers,
                script,
            } = machine;
            let (upstream, task) = Upstream::start(index, address, servers, script, &traffic);
            upstreams.push(upstream);
            accepting.push(task);
        }
        let workers = serve(&shared, seed);
        let clients = Clients::new(SERVICE);
        let started = clock::now();
        let samples = Rc::new(RefCell::new(Vec::new()));
        let sampling = spawn_local(sample(Arc::clone(&shared), Rc::clone(&samples), started));
        let load = Load {
            phases: story.load,
            leaves_one_in: story.leaves_one_in,
            target: story.target,
        };
        let records = load.offer(&clients, seed, started).await;
        sampling.abort();
        tokio::time::sleep(REST).await;
        ledger::rested(&shared, &upstreams, &traffic);
        clients.hang_up();
        shared.advance(Phase::Draining);
        for worker in workers {
            worker.await.unwrap();
        }
        for task in accepting {
            task.abort();
            task.await.ok();
        }
        ledger::ended(&shared);
        let samples = samples.take();
        Run {
            started,
            records,
            upstreams,
            traffic,
            shared,
            samples,
        }
    })
}

/// Looks at what is under way, once per step.
async fn sample(shared: Arc<Shared>, samples: Rc<RefCell<Vec<Sample>>>, started: Nanos) {
    for step in 1.. {
        sleep_until(clock::instant(started + step * STEP)).await;
        let program = shared.program();
        let upstreams = program.upstreams.iter();
        let calls = upstreams.map(|upstream| u64::from(upstream.bulkhead.in_flight()));
        samples.borrow_mut().push(Sample {
            requests: shared.in_flight(),
            calls: calls.sum(),
        });
    }
}

struct Load {
    phases: Vec<(u64, u64)>,
    leaves_one_in: Option<u64>,
    target: fn(u64) -> String,
}

impl Load {
    /// Open loop: a request leaves when its time has come, whatever became of those before it.
    async fn offer(&self, clients: &Clients, seed: u64, started: Nanos) -> Vec<Record> {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x10ad);
        let (mut at, mut sent) = (started, Vec::new());
        for (until_ms, rate) in &self.phases {
            while at < started + until_ms * MILLI {
                // Gaps from a half to one and a half times the usual one: no logarithm, so that all
                // machines draw the same load.
                let gap = 1_000 * MILLI / rate;
                at += gap / 2 + random.u64(..gap);
                sleep_until(clock::instant(at)).await;
                let id = sent.len() as u64;
                let leaves = self
                    .leaves_one_in
                    .is_some_and(|many| random.u64(..many) == 0);
                let patience = leaves.then(|| Duration::from_millis(random.u64(1..60)));
                let (clients, target) = (clients.clone(), (self.target)(id));
                sent.push(spawn_local(async move {
                    clients.get(id, &target, patience).await
                }));
            }
        }
        let mut records = Vec::with_capacity(sent.len());
        for request in sent {
            records.push(request.await.unwrap());
        }
        records
    }
}
