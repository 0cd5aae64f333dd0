//! A run: start, chaos, calm, the last look at everything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use courant_auth::Role;
use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::{DrainWorkerRequest, ResumeWorkerRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clients::audit;
use super::clients::endpoints::Endpoints;
use super::clients::grpc::{Grpc, timely};
use super::clients::hostile::Hostile;
use super::clients::meddle::Meddler;
use super::clients::submit::Submitter;
use super::clients::watch::Watcher;
use super::clients::webhooks::Webhooks;
use super::clients::{USERS, User, World};
use super::options::Attack;
use super::plan::{Fault, Plan, WORKERS, Who};
use super::record::{Folder, Record, RecordWriter, Scope, Via};
use super::system::{Binaries, System};
use super::verify::watches::ADMIN;
use super::worker::frozen::Frozen;
use super::worker::{Worker, WorkerFault, Workplace};

/// Within the folder of a run.
pub const RECORDS: &str = "records";
/// How often something is said.
const SAY: Duration = Duration::from_secs(30);
/// How long the system may take to be there.
const START: Duration = Duration::from_secs(60);

/// What the records do not say.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Programs that ended by themselves.
    pub exits: u64,
    /// Faults that cannot be had here, and why.
    pub skipped: Vec<&'static str>,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

struct Run {
    system: Arc<System>,
    world: Arc<World>,
    /// Those who submit and meddle.
    callers: JoinSet<()>,
    workers: Vec<mpsc::Sender<WorkerFault>>,
    tasks: JoinSet<()>,
    writer: RecordWriter,
    skipped: Vec<&'static str>,
    calm: Duration,
    /// None in a cluster, whose servers reach nobody here.
    webhooks: Option<Webhooks>,
}

/// Attacks a system and leaves the records in the folder.
pub async fn attack(options: &Attack, plan: &Plan, home: &Path) -> anyhow::Result<Ran> {
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let mut binaries = Binaries::of_this_build()?;
    if let Some(server) = &options.server {
        let flags: Vec<&str> = options.server_flag.iter().map(String::as_str).collect();
        binaries = binaries.with_server(server, &flags);
    }
    clear(home)?;
    let folder = Folder::create(&home.join(RECORDS))?;
    let system = Arc::new(System::start(home, &binaries, plan.shape, &stop).await?);
    let mut run = Run::new(plan.seed, &folder, system, Duration::from_secs(options.calm))?;
    run.writer.write(Record::Begin {
        seed: plan.seed,
        seconds: plan.length.as_secs(),
        cluster: plan.shape.is_cluster(),
    });
    run.wait_for_the_system().await?;
    if !plan.shape.is_cluster() {
        run.webhooks = Some(Webhooks::start(&run.world).await?);
    }
    run.start_clients()?;
    let interrupted = tokio::select! {
        () = run.chaos(plan) => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    run.end(&folder).await?;
    let ran = Ran { exits: run.system.exits(), skipped: run.skipped.clone(), interrupted };
    stop.cancel();
    Ok(ran)
}

/// Removes what another run has left.
fn clear(home: &Path) -> anyhow::Result<()> {
    for name in ["data", "servers", "nats", "objects", RECORDS] {
        match std::fs::remove_dir_all(home.join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be emptied", home.display())),
        }
    }
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "log") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Waits until clients have come to their end.
async fn all_gone(clients: &mut JoinSet<()>, patience: Duration) {
    let gone = async { while clients.join_next().await.is_some() {} };
    if tokio::time::timeout(patience.max(START), gone).await.is_err() {
        eprintln!("torture: some clients did not come to an end");
    }
}

/// Drains a worker for some time, as an operator would.
async fn drain(world: Arc<World>, worker_id: String, time: Duration) {
    let Ok(grpc) = Grpc::new(&world.grpc, &world.admin) else { return };
    let mut client = AdminServiceClient::new(grpc.channel());
    let request = DrainWorkerRequest { worker_id: worker_id.clone() };
    let _ = timely(async { client.drain_worker(grpc.with(request)).await }).await;
    tokio::time::sleep(time).await;
    resume(&world, &worker_id).await;
}

async fn resume(world: &World, worker_id: &str) {
    for _ in 0..10 {
        let Ok(grpc) = Grpc::new(&world.grpc, &world.admin) else { return };
        let mut client = AdminServiceClient::new(grpc.channel());
        let request = ResumeWorkerRequest { worker_id: worker_id.to_owned() };
        match timely(async { client.resume_worker(grpc.with(request)).await }).await {
            Err(status) if status.code() != tonic::Code::NotFound => {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            _ => return,
        }
    }
}

impl Run {
    fn new(seed: u64, folder: &Arc<Folder>, system: Arc<System>, calm: Duration) -> anyhow::Result<Self> {
        let user = |name: &str, roles: &[Role]| Ok(User::new(name, system.token(name, roles)?));
        let world = Arc::new(World {
            seed,
            folder: folder.clone(),
            grpc: Endpoints::new(system.for_clients()),
            http: Endpoints::new(system.for_browsers()),
            users: USERS.iter().map(|name| user(name, &[])).collect::<anyhow::Result<_>>()?,
            admin: user(ADMIN, &[Role::Admin])?,
            calm: CancellationToken::new(),
            over: CancellationToken::new(),
        });
        let (callers, workers, tasks, writer) = (JoinSet::new(), Vec::new(), JoinSet::new(), folder.writer("run")?);
        Ok(Self { system, world, callers, workers, tasks, writer, skipped: Vec::new(), calm, webhooks: None })
    }

    async fn wait_for_the_system(&self) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        let ready = async |at: &SocketAddr| {
            reqwest::get(format!("http://{at}/readyz")).await.is_ok_and(|answer| answer.status().is_success())
        };
        while Instant::now() < until {
            let mut all = self.system.all_serve();
            for bridge in self.world.http.all() {
                all = all && ready(bridge).await;
            }
            if all {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the system was not ready within {START:?}; see the logs beside the records")
    }

    fn start_clients(&mut self) -> anyhow::Result<()> {
        let servers = Endpoints::new(self.system.for_workers());
        for number in 0..WORKERS {
            let id = format!("worker-{number}");
            let (blow, blows) = mpsc::channel(4);
            let token = self.system.token(&id, &[Role::Worker])?;
            let place = Workplace { servers: servers.clone(), token, seed: self.world.seed };
            let worker = Worker::new(&id, place, &self.world.folder, blows)?;
            self.tasks.spawn(worker.run(self.world.over.clone()));
            self.workers.push(blow);
        }
        let id = "frozen";
        let token = self.system.token(id, &[Role::Worker])?;
        let place = Workplace { servers, token, seed: self.world.seed };
        self.tasks.spawn(Frozen::new(id, place, &self.world.folder)?.run(self.world.calm.clone()));
        let mallory = User::new("mallory", self.system.token("mallory", &[])?);
        self.callers.spawn(Hostile::new(&self.world, &mallory)?.run());
        let world = self.world.clone();
        self.watch(&world.admin, Scope::All, "all-1")?;
        self.watch(&world.admin, Scope::All, "all-2")?;
        for user in &world.users {
            let name = user.name.clone();
            self.callers.spawn(Submitter::new(&world, user, Via::Grpc)?.run());
            self.callers.spawn(Submitter::new(&world, user, Via::Http)?.run());
            self.callers.spawn(Meddler::new(&world, user)?.run());
            self.watch(user, Scope::Owner(name.clone()), "mine-1")?;
            self.watch(user, Scope::Owner(name.clone()), "mine-2")?;
            self.watch(user, Scope::Document(name.clone(), "d0".to_owned()), "document")?;
            self.watch(user, Scope::Batch(name, "b0".to_owned()), "batch")?;
            for number in 1..=2 {
                let name = format!("watch-{}-job-{number}", user.name);
                let watcher = Watcher::new(&world, user, Scope::Owner(user.name.clone()), &name)?;
                self.tasks.spawn(watcher.run_through_jobs());
            }
        }
        Ok(())
    }

    fn watch(&mut self, user: &Arc<User>, scope: Scope, name: &str) -> anyhow::Result<()> {
        let watcher = Watcher::new(&self.world, user, scope, &format!("watch-{}-{name}", user.name))?;
        self.tasks.spawn(watcher.run());
        Ok(())
    }

    /// Does what the plan says. A fault that lasts does not hold up the next.
    async fn chaos(&mut self, plan: &Plan) {
        let begun = Instant::now();
        let mut said = begun;
        let mut lasting = JoinSet::new();
        for timed in &plan.faults {
            sleep_until(begun + timed.at).await;
            if said.elapsed() >= SAY {
                said = Instant::now();
                let jobs: usize = self.world.users.iter().map(|user| user.all.lock().len()).sum();
                eprintln!("torture: {:>5} s, {jobs} jobs", begun.elapsed().as_secs());
            }
            self.inject(timed.fault, &mut lasting);
        }
        sleep_until(begun + plan.length).await;
        lasting.abort_all();
    }

    fn inject(&mut self, fault: Fault, lasting: &mut JoinSet<()>) {
        if let Some(lack) = self.system.lacks(fault) {
            return self.skip(lack);
        }
        self.writer.write(Record::Fault { what: fault.to_string() });
        if let Fault::Drain(worker, time) = fault {
            lasting.spawn(drain(self.world.clone(), format!("worker-{worker}"), time));
            return;
        }
        let blow = match fault {
            Fault::Kill(Who::Worker(number)) => Some((number, WorkerFault::Forget)),
            Fault::Pause(Who::Worker(number), time) => Some((number, WorkerFault::Freeze(time))),
            _ => None,
        };
        if let Some((number, blow)) = blow {
            let _ = self.workers[number].try_send(blow);
            return;
        }
        let system = self.system.clone();
        lasting.spawn(async move {
            if let Err(error) = system.inject(fault).await {
                eprintln!("torture: {fault}: {error:#}");
            }
        });
        while lasting.try_join_next().is_some() {}
    }

    fn skip(&mut self, what: &'static str) {
        if !self.skipped.contains(&what) {
            self.skipped.push(what);
        }
    }

    /// Lets the system come to rest, and looks at everything once more.
    async fn end(&mut self, folder: &Arc<Folder>) -> anyhow::Result<()> {
        eprintln!("torture: calm");
        self.system.clear_faults()?;
        self.world.calm.cancel();
        for number in 0..WORKERS {
            resume(&self.world, &format!("worker-{number}")).await;
        }
        // A submit under way may still make a job.
        all_gone(&mut self.callers, self.calm).await;
        let ended = audit::all_ended(&self.world, Instant::now() + self.calm).await;
        if !ended {
            eprintln!("torture: not every job has ended within {:?}", self.calm);
        }
        self.world.over.cancel();
        all_gone(&mut self.tasks, self.calm).await;
        eprintln!("torture: reading everything once more");
        let (writer, results) = (folder.writer("audit")?, folder.writer("results")?);
        let patience = Duration::from_secs(if ended { 20 } else { 3 });
        audit::read_all(&self.world, &writer, &results, patience).await;
        if let Some(webhooks) = &self.webhooks {
            webhooks.finish(self.calm).await?;
        }
        self.writer.write(Record::End);
        self.writer.flush()?;
        writer.flush()?;
        Ok(results.flush()?)
    }
}
