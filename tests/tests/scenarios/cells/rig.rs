//! An agent's hands, eyes and head in virtual time: the connection and the watches that ship, and the reconciler, at a
//! cluster in memory, with a layer of faults in between.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use argosy_agent::cluster::{Connection, Watches, WatchesHandle};
use argosy_core::cluster::{Answer, ApiError, RequestId, WatchEvent, Watched};
use argosy_core::desired::{Assignment, DesiredList, Destination, ListSettings, Phase};
use argosy_core::ids::{AppId, BootId, Digest, InstallationId};
use argosy_core::key::ResourceKey;
use argosy_core::policy::{Automated, SyncPolicy};
use argosy_core::project::Project;
use argosy_core::reconcile::Reconciler;
use argosy_core::release::Release;
use argosy_core::session::tables::{get_manifest, put_manifest, put_release};
use argosy_core::status::{AppStatus, OperationPhase, SyncStatus};
use argosy_core::store::MemoryStore;
use argosy_core::time::{MonoTime, Now, WallTime};
use argosy_runtime::entropy::SystemEntropy;
use argosy_sim::cluster::{Config, Time};
use argosy_sim::http::{Clock, InMemory, Login, User};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::layer::{ApiServer, Asked, Body, BoxError, Layer};

const TOKEN: &str = "token";
/// How often kinds are discovered unasked, as the agent's shell does it.
const DISCOVERY: Duration = Duration::from_mins(5);
/// When virtual time begins.
const BIRTH: i64 = 1_700_000_000_000_000;

/// A simulated cluster with its control plane.
pub(super) struct Simulated {
    pub(super) api: InMemory,
    /// Ends with it.
    _controllers: JoinSet<Result<(), Infallible>>,
}

/// An agent's process.
struct Life {
    connection: Connection,
    reconciler: Reconciler,
    watches: WatchesHandle,
    events: mpsc::Receiver<(Watched, WatchEvent)>,
    /// The watches; they end with it.
    _running: JoinSet<Result<(), Infallible>>,
    flights: FuturesUnordered<BoxFuture<'static, (RequestId, Result<Answer, ApiError>)>>,
    discovery: Instant,
    statuses: BTreeMap<AppId, AppStatus>,
}

/// An agent at a cluster.
pub(super) struct Rig {
    pub(super) cluster: Simulated,
    pub(super) layer: Arc<Layer>,
    store: MemoryStore,
    list: DesiredList,
    life: Life,
    born: Instant,
}

pub(super) fn app() -> AppId {
    AppId::new("", "web")
}

fn installation() -> InstallationId {
    InstallationId::from_random([5; 16])
}

// === impl Simulated ===

impl Simulated {
    fn new(born: Instant) -> Self {
        let clock = Clock::new(move || Time(BIRTH).plus(born.elapsed()));
        let user = User { name: "agent".to_owned(), groups: vec!["system:masters".to_owned()] };
        let login = Login { user, token: TOKEN.to_owned() };
        let api = InMemory::new(Config::default(), clock, vec![login]);
        let keeps = api.clone();
        let mut controllers = JoinSet::new();
        controllers.spawn(async move { keeps.run_control_plane().await });
        Self { api, _controllers: controllers }
    }

    /// Asks as somebody else than the agent.
    pub(super) async fn ask(&self, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let asked = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, media);
        let answer = self.answer(asked.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Reads an object.
    pub(super) async fn get(&self, path: &str) -> Option<Value> {
        let (code, object) = self.ask("GET", path, "application/json", &Value::Null).await;
        (code == 200).then_some(object)
    }
}

impl ApiServer for InMemory {
    fn answer(&self, mut asked: Asked) -> BoxFuture<'_, Result<Response<Body>, BoxError>> {
        let token = header::HeaderValue::from_static("Bearer token");
        asked.headers_mut().insert(header::AUTHORIZATION, token);
        Box::pin(async move {
            let answer = InMemory::answer(self, asked).await;
            Ok(answer.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
        })
    }
}

impl ApiServer for Simulated {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Result<Response<Body>, BoxError>> {
        ApiServer::answer(&self.api, asked)
    }
}

// === impl Life ===

impl Life {
    /// A process starts: what it knows is in its store.
    fn begin(layer: &Arc<Layer>, store: &MemoryStore, now: Now) -> Self {
        let layer = Arc::clone(layer);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let layer = Arc::clone(&layer);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                layer.call(Request::from_parts(parts, Full::new(body))).await
            }
        });
        let connection = Connection::by(kube::Client::new(service, "default"));
        let (watches, handle, events) = Watches::new(connection.clone());
        let mut running = JoinSet::new();
        running.spawn(watches.run());
        Self {
            connection,
            reconciler: Reconciler::load(store, installation(), now).unwrap(),
            watches: handle,
            events,
            _running: running,
            flights: FuturesUnordered::new(),
            discovery: Instant::now(),
            statuses: BTreeMap::new(),
        }
    }
}

// === impl Rig ===

impl Rig {
    pub(super) fn new() -> Self {
        let born = Instant::now();
        let cluster = Simulated::new(born);
        let layer = Arc::new(Layer::new(Arc::new(cluster.api.clone())));
        let store = MemoryStore::default();
        let settings = ListSettings { installation: installation(), hold_deletes: false };
        let life = Life::begin(&layer, &store, now(born));
        Self { cluster, layer, store, list: DesiredList::empty(settings), life, born }
    }

    /// The process dies, and another one starts on what is on its disk.
    pub(super) fn restart(&mut self) {
        self.life = Life::begin(&self.layer, &self.store, now(self.born));
        self.desire();
    }

    /// Sets what the app desires.
    pub(super) fn assign(&mut self, manifests: &[(ResourceKey, Value)]) {
        let manifests: Vec<(ResourceKey, Vec<u8>)> = manifests
            .iter()
            .map(|(key, manifest)| (key.clone(), manifest.to_string().into_bytes()))
            .collect();
        let mut ops: Vec<_> = manifests.iter().map(|(_, bytes)| put_manifest(bytes)).collect();
        let entries = manifests.into_iter().map(|(key, bytes)| (key, Digest::of(&bytes)));
        let (release, _duplicates) = Release::build(entries);
        ops.push(put_release(&release));
        self.store.commit(&ops);
        self.list.set(Assignment {
            app: app(),
            root: release.root(),
            destination: Destination { namespace: "shop".to_owned(), ..Destination::default() },
            policy: SyncPolicy {
                automated: Some(Automated { prune: true, self_heal: true, allow_empty: false }),
                ..SyncPolicy::default()
            },
            limits: Project::permissive().limits,
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: Vec::new(),
        });
        self.desire();
    }

    fn desire(&mut self) {
        let elements = self.list.elements().iter();
        let assigned = elements.map(|(name, element)| (name.clone(), element.assignment.clone())).collect();
        let now = now(self.born);
        self.life.reconciler.set_desired(Some(&self.list), &assigned, true, &self.store, now).unwrap();
    }

    /// Gives the last status of the app.
    pub(super) fn status(&self) -> Option<&AppStatus> {
        self.life.statuses.get(&app())
    }

    /// Tells whether the agent says that all is in sync and nothing is under way.
    pub(super) fn says_synced(&self) -> bool {
        let running = |status: &AppStatus| {
            status.operation.as_ref().is_some_and(|operation| operation.phase == OperationPhase::Running)
        };
        self.life.flights.is_empty()
            && self.status().is_some_and(|status| status.sync == SyncStatus::Synced && !running(status))
    }

    /// Runs for a time.
    pub(super) async fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.step(until).await;
        }
    }

    /// Runs until the agent says that all is in sync; tells how long that took.
    pub(super) async fn run_until_synced(&mut self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        let until = began + limit;
        loop {
            self.turn();
            if self.says_synced() {
                return Some(began.elapsed());
            }
            if Instant::now() >= until {
                return None;
            }
            self.step(until).await;
        }
    }

    /// Takes one turn and waits for the next thing that happens, at most until a moment.
    async fn step(&mut self, until: Instant) {
        let now = self.turn();
        let timer = self.life.reconciler.next_timer();
        let timer = timer.map(|at| Duration::from_millis(at.saturating_sub(now.ms()).max(1)));
        let wake = timer.map_or(until, |timer| until.min(Instant::now() + timer));
        let life = &mut self.life;
        tokio::select! {
            Some((id, answer)) = life.flights.next(), if !life.flights.is_empty() => {
                life.reconciler.answered(id, answer, self::now(self.born), &mut SystemEntropy);
            }
            Some((watched, event)) = life.events.recv() => match watched {
                Watched::Kind(kind) => life.reconciler.watched(&kind, event, self::now(self.born)),
                Watched::Part(key) => life.reconciler.part_watched(&key, event, self::now(self.born)),
            },
            () = tokio::time::sleep_until(life.discovery) => {
                life.discovery = Instant::now() + match life.connection.discover().await {
                    Ok(discovered) => {
                        let (kinds, unasked) = (discovered.kinds.clone(), discovered.stale_groups());
                        let unasked: BTreeSet<String> = unasked;
                        life.reconciler.set_kinds(kinds, unasked, &self.store, self::now(self.born)).unwrap();
                        DISCOVERY
                    }
                    Err(_unreachable) => Duration::from_secs(1),
                };
            }
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn turn(&mut self) -> Now {
        let now = now(self.born);
        let life = &mut self.life;
        let output = life.reconciler.turn(&self.store, now).unwrap();
        self.store.commit(&output.ops);
        for (app, status) in output.statuses {
            match status {
                Some(status) => life.statuses.insert(app, status),
                None => life.statuses.remove(&app),
            };
        }
        if output.discover {
            life.discovery = Instant::now();
        }
        for (id, ask) in output.requests {
            let bytes = ask.manifest().and_then(|manifest| get_manifest(&self.store, manifest).unwrap());
            let connection = life.connection.clone();
            life.flights.push(Box::pin(async move {
                (id, connection.execute(&ask, bytes.as_deref(), installation()).await)
            }));
        }
        life.watches.set(life.reconciler.watch_generations());
        now
    }
}

fn now(born: Instant) -> Now {
    let elapsed_ms = u64::try_from(born.elapsed().as_millis()).unwrap_or(u64::MAX);
    let wall = WallTime(BIRTH / 1000).0.saturating_add(i64::try_from(elapsed_ms).unwrap_or_default());
    Now { mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms }, wall: WallTime(wall) }
}
