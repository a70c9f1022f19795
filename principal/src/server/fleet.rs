//! `Fleet`: what operators see and order.

use std::pin::Pin;

use argosy_core::hub::{AppName, DeletionOrdered, Refused, Reply, Request as Order};
use argosy_core::ids::{AppId, Digest};
use argosy_core::session::frame::CommandKind;
use argosy_core::store::StoreError;
use argosy_proto::v1;
use argosy_proto::v1::fleet_server::Fleet as Service;
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::join::JoinToken;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info};

use super::{Services, operator_of, view};
use crate::engine::{Handle, Stopped};

mod audit;
mod bundles;
mod events;
mod manifests;
mod preview;
mod receipts;

/// Longest time that a command may be given to start.
const LONGEST: u64 = 60 * 60 * 1000;
/// Events that wait for a slow reader. Full: it waits; those that it misses meanwhile are gone from the newest thousand.
const EVENTS: usize = 64;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
pub(super) struct Fleet {
    services: Services,
}

// === impl Fleet ===

impl Fleet {
    pub(super) fn new(services: Services) -> Self {
        Self { services }
    }

    /// Refuses a name that no cluster has.
    async fn known(&self, cluster: &str) -> Result<(), Status> {
        let name = cluster.to_owned();
        let found = self.services.handle.query(move |machine, _, now| machine.cluster(&name, now).is_some());
        if found.await.map_err(stopped)? {
            Ok(())
        } else {
            Err(status_of(&Refused::NoCluster(cluster.to_owned())))
        }
    }

    async fn order(&self, operator: &str, order: Order) -> Result<Reply, Status> {
        // A token's hash is no secret, and is not shown all the same.
        let what = match &order {
            Order::AddCluster { name, .. } => format!("cluster add {name}"),
            Order::RejoinCluster { name, .. } => format!("cluster add {name} --rejoin"),
            Order::RevokeCluster { name } => format!("cluster revoke {name}"),
            Order::Reconcile { name, confirm, keep } => {
                format!(
                    "cluster reconcile {name} (confirm: {confirm}, keep: {})",
                    keep.as_deref().unwrap_or("-")
                )
            }
            Order::Receipts(receipts) => format!("bundle receipts (of cluster {})", receipts.cluster),
            Order::ExportBundle { name } => format!("bundle export {name}"),
            Order::DeleteApp { app, cascade } => format!("app delete {} (cascade: {cascade})", app.app),
            Order::PauseApp { app, by: Some(_) } => format!("app pause {}", app.app),
            Order::PauseApp { app, by: None } => format!("app resume {}", app.app),
            Order::Enrol(_)
            | Order::Command { .. }
            | Order::MoreOfBundle(_)
            | Order::HoldBundle(_)
            | Order::DropBundle(_)
            | Order::SealBundle { .. } => String::new(),
        };
        info!(operator, order = what, "an operator orders");
        self.services.handle.ask(order).await.map_err(stopped)?.map_err(|refused| status_of(&refused))
    }
}

#[tonic::async_trait]
impl Service for Fleet {
    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        operator_of(&request)?;
        let facts = std::sync::Arc::clone(&self.services.fleet);
        let look = self.services.handle.query(move |machine, _, now| v1::ListClustersResponse {
            clusters: machine.clusters(now).into_iter().map(|cluster| view::cluster(cluster, now)).collect(),
            fleet: Some(view::fleet(&facts, &machine.fleet_conditions(), now)),
        });
        Ok(Response::new(look.await.map_err(stopped)?))
    }

    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::ClusterView>, Status> {
        operator_of(&request)?;
        let name = request.into_inner().name;
        let wanted = name.clone();
        let found = self
            .services
            .handle
            .query(move |machine, _, now| {
                machine.cluster(&wanted, now).map(|cluster| view::cluster(cluster, now))
            })
            .await
            .map_err(stopped)?;
        found.map(Response::new).ok_or_else(|| status_of(&Refused::NoCluster(name)))
    }

    async fn add_cluster(
        &self,
        request: Request<v1::AddClusterRequest>,
    ) -> Result<Response<v1::AddClusterResponse>, Status> {
        let operator = operator_of(&request)?;
        let v1::AddClusterRequest { name, labels, rejoin } = request.into_inner();
        if rejoin && !labels.is_empty() {
            return Err(Status::invalid_argument("labels cannot be given to a cluster that joins again"));
        }
        let labels = checked_labels(labels)?;
        let token = JoinToken::generate(&mut SystemEntropy);
        let hash = Digest::new(*token.hash().as_bytes());
        let order = if rejoin {
            Order::RejoinCluster { name: name.clone(), token: hash }
        } else {
            Order::AddCluster { name: name.clone(), labels, token: hash }
        };
        let Reply::Added { cluster, expires, rejoin } = self.order(&operator, order).await? else {
            return Err(unexpected());
        };
        let join = self
            .services
            .join
            .join(cluster, &name, rejoin, token)
            .map_err(|error| Status::internal(format!("no join string can be made: {error}")))?;
        let command = format!("argosy-agent run --data-dir /var/lib/argosy-agent --join {join}");
        Ok(Response::new(v1::AddClusterResponse {
            name,
            uuid: cluster.to_string(),
            join,
            command,
            expires_at_unix_ms: expires.0,
        }))
    }

    async fn revoke_cluster(
        &self,
        request: Request<v1::RevokeClusterRequest>,
    ) -> Result<Response<v1::RevokeClusterResponse>, Status> {
        let operator = operator_of(&request)?;
        let order = Order::RevokeCluster { name: request.into_inner().name };
        let Reply::Revoked { cluster, was_connected } = self.order(&operator, order).await? else {
            return Err(unexpected());
        };
        Ok(Response::new(v1::RevokeClusterResponse { uuid: cluster.to_string(), was_connected }))
    }

    async fn reconcile_cluster(
        &self,
        request: Request<v1::ReconcileClusterRequest>,
    ) -> Result<Response<v1::ReconcileClusterResponse>, Status> {
        let operator = operator_of(&request)?;
        let v1::ReconcileClusterRequest { name, confirm, keep } = request.into_inner();
        let keep = Some(keep).filter(|keep| !keep.is_empty());
        let order = Order::Reconcile { name, confirm, keep };
        let Reply::Reconciled(reconciliation) = self.order(&operator, order).await? else {
            return Err(unexpected());
        };
        Ok(Response::new(view::reconciliation(reconciliation)))
    }

    async fn list_apps(
        &self,
        request: Request<v1::ListAppsRequest>,
    ) -> Result<Response<v1::ListAppsResponse>, Status> {
        operator_of(&request)?;
        let v1::ListAppsRequest { cluster, project } = request.into_inner();
        let found = self
            .services
            .handle
            .query(move |machine, store, now| {
                let apps = machine.apps(now, store)?.into_iter();
                let apps = apps.filter(|app| {
                    (cluster.is_empty() || app.cluster == cluster)
                        && (project.is_empty() || app.project == project)
                });
                Ok::<_, StoreError>(apps.map(|app| view::app(app, now, view::Detail::List)).collect())
            })
            .await
            .map_err(stopped)?;
        Ok(Response::new(v1::ListAppsResponse { apps: found.map_err(|error| failed(&error))? }))
    }

    async fn get_app(&self, request: Request<v1::GetAppRequest>) -> Result<Response<v1::AppView>, Status> {
        operator_of(&request)?;
        let v1::GetAppRequest { namespace, name, cluster } = request.into_inner();
        let app = AppId::new(namespace, name);
        let wanted = app.clone();
        let found = self
            .services
            .handle
            .query(move |machine, store, now| {
                let cluster = Some(cluster.as_str()).filter(|cluster| !cluster.is_empty());
                let found = machine.app(&wanted, cluster, now, store)?;
                Ok::<_, StoreError>(found.map(|app| view::app(app, now, view::Detail::Whole)))
            })
            .await
            .map_err(stopped)?;
        let found = found.map_err(|error| failed(&error))?;
        found.map(Response::new).ok_or_else(|| status_of(&Refused::NoApp(app)))
    }

    type GetManifestsStream = ReceiverStream<Result<v1::Manifests, Status>>;

    async fn get_manifests(
        &self,
        request: Request<v1::GetAppRequest>,
    ) -> Result<Response<Self::GetManifestsStream>, Status> {
        operator_of(&request)?;
        let (send, receive) = mpsc::channel(manifests::PIECES);
        self.send_manifests(request.into_inner(), send).await?;
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn delete_app(
        &self,
        request: Request<v1::DeleteAppRequest>,
    ) -> Result<Response<v1::DeleteAppResponse>, Status> {
        let operator = operator_of(&request)?;
        let v1::DeleteAppRequest { namespace, name, cluster, cascade } = request.into_inner();
        let app = app_name(namespace, name, cluster);
        let Reply::DeletionOrdered(ordered) =
            self.order(&operator, Order::DeleteApp { app, cascade }).await?
        else {
            return Err(unexpected());
        };
        let DeletionOrdered { cluster, first, held } = ordered;
        Ok(Response::new(v1::DeleteAppResponse { cluster, first, held: held.as_ref().map(Into::into) }))
    }

    async fn pause_app(
        &self,
        request: Request<v1::PauseAppRequest>,
    ) -> Result<Response<v1::PauseAppResponse>, Status> {
        let operator = operator_of(&request)?;
        let v1::PauseAppRequest { namespace, name, cluster, resume } = request.into_inner();
        let by = (!resume).then(|| operator.clone());
        let order = Order::PauseApp { app: app_name(namespace, name, cluster), by };
        let Reply::PauseOrdered(ordered) = self.order(&operator, order).await? else {
            return Err(unexpected());
        };
        let (paused_by, since) = ordered.paused.map(|pause| (pause.by, pause.since.0)).unwrap_or_default();
        Ok(Response::new(v1::PauseAppResponse {
            cluster: ordered.cluster,
            changed: ordered.changed,
            paused_by,
            paused_since_unix_ms: since,
        }))
    }

    async fn list_projects(
        &self,
        request: Request<v1::ListProjectsRequest>,
    ) -> Result<Response<v1::ListProjectsResponse>, Status> {
        operator_of(&request)?;
        let found = self.services.handle.query(move |machine, _, _| machine.projects());
        let projects = found.await.map_err(stopped)?.into_iter().map(view::project).collect();
        Ok(Response::new(v1::ListProjectsResponse { projects }))
    }

    type PreviewStream = ReceiverStream<Result<v1::PreviewResponse, Status>>;

    async fn preview(
        &self,
        request: Request<Streaming<v1::PreviewRequest>>,
    ) -> Result<Response<Self::PreviewStream>, Status> {
        operator_of(&request)?;
        let (send, receive) = mpsc::channel(preview::PARTS);
        self.begin_preview(request.into_inner(), send).await?;
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    type RunCommandStream = Answers<v1::CommandProgress>;

    async fn run_command(
        &self,
        request: Request<v1::RunCommandRequest>,
    ) -> Result<Response<Self::RunCommandStream>, Status> {
        let operator = operator_of(&request)?;
        let request = request.into_inner();
        let kind = request.command()?;
        let app = app_name(request.namespace, request.name, request.cluster);
        info!(%operator, app = %app.app, order = ?kind, "an operator orders");
        let asked = kind.clone();
        let order = Order::Command { app, kind, deadline_ms: request.timeout_ms.clamp(1, LONGEST) };
        let mut answers = self.services.handle.follow(order).await.map_err(stopped)?;
        // What is refused at once is the call's own answer.
        let first = answers.recv().await.ok_or_else(|| stopped(Stopped))?;
        let first = first.map_err(|refused| status_of(&refused))?;
        let rest = ReceiverStream::new(answers).map(|answer| answer.map_err(|refused| status_of(&refused)));
        let handle = self.services.handle.clone();
        let progress = tokio_stream::once(Ok(first)).chain(rest).then(move |answer| {
            let (handle, asked) = (handle.clone(), asked.clone());
            async move { progress(answer?, &asked, &handle).await }
        });
        Ok(Response::new(Box::pin(progress)))
    }

    type EventsStream = ReceiverStream<Result<v1::Event, Status>>;

    async fn events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        operator_of(&request)?;
        let request = request.into_inner();
        if !request.cluster.is_empty() && request.since.is_some() {
            self.known(&request.cluster).await?;
        }
        let (send, receive) = mpsc::channel(EVENTS);
        let (handle, stopping) = (self.services.handle.clone(), self.services.supervisor.stopping());
        self.services.supervisor.spawn_isolated("events", async move {
            let told = stopping.run_until_cancelled(events::tell(&handle, request, &send)).await;
            if told == Some(Err(Stopped)) {
                debug!("the engine is gone");
            }
            Ok::<_, std::convert::Infallible>(())
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<v1::AuditResponse>, Status> {
        operator_of(&request)?;
        let v1::AuditRequest { cluster, at } = request.into_inner();
        let wanted = cluster.clone();
        let found = self
            .services
            .handle
            .query(move |machine, store, now| {
                let at = events::moment(at.as_ref(), now).unwrap_or(now.wall);
                let found = machine.audit(&wanted, at, store)?;
                Ok::<_, StoreError>(found.map(|found| audit::response(&wanted, found, at, now)))
            })
            .await
            .map_err(stopped)?;
        let found = found.map_err(|error| failed(&error))?;
        found.map(Response::new).ok_or_else(|| status_of(&Refused::NoCluster(cluster)))
    }

    type ExportBundleStream = ReceiverStream<Result<v1::FilePiece, Status>>;

    async fn export_bundle(
        &self,
        request: Request<v1::ExportBundleRequest>,
    ) -> Result<Response<Self::ExportBundleStream>, Status> {
        let operator = operator_of(&request)?;
        let (send, receive) = mpsc::channel(bundles::PIECES);
        self.begin_bundle(&operator, request.into_inner().name, send).await?;
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn import_receipts(
        &self,
        request: Request<Streaming<v1::FilePiece>>,
    ) -> Result<Response<v1::ImportReceiptsResponse>, Status> {
        let operator = operator_of(&request)?;
        Ok(Response::new(self.receipts(&operator, request.into_inner()).await?))
    }
}

/// Makes a message of a command's progress; times are told as of when it is sent.
async fn progress(reply: Reply, asked: &CommandKind, handle: &Handle) -> Result<v1::CommandProgress, Status> {
    let Reply::Command(progress) = reply else { return Err(unexpected()) };
    let (cluster, app) = (progress.cluster, progress.app.clone());
    let mut told = view::progress(progress, asked)
        .map_err(|error| Status::internal(format!("the agent's answer cannot be read: {error}")))?;
    let compared = told.diff.as_ref().and_then(|diff| diff.release.as_ref()?.root());
    let mut history = std::mem::take(&mut told.history);
    let known = handle.query(move |machine, _, now| {
        let observed = cluster.and_then(|cluster| machine.observed(cluster, &app, now));
        let observed = observed.map(|seen| view::observation(seen, now));
        let commit_of = |root| machine.commit_of(cluster?, &app, root).map(str::to_owned);
        for row in &mut history {
            row.by_hub_clock(now.wall.0);
            if let Some(release) = &mut row.release {
                release.revision = release.root().and_then(commit_of).unwrap_or_default();
            }
        }
        (observed, history, compared.and_then(commit_of))
    });
    let (observed, history, commit) = known.await.map_err(stopped)?;
    told.observed = observed;
    told.history = history;
    if let Some(release) = told.diff.as_mut().and_then(|diff| diff.release.as_mut()) {
        release.revision = commit.unwrap_or_default();
    }
    Ok(told)
}

fn app_name(namespace: String, name: String, cluster: String) -> AppName {
    let cluster = Some(cluster).filter(|cluster| !cluster.is_empty());
    AppName { app: AppId::new(namespace, name), cluster }
}

fn checked_labels(
    labels: std::collections::BTreeMap<String, String>,
) -> Result<std::collections::BTreeMap<String, String>, Status> {
    let sound = |text: &str| {
        text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
    };
    let bad = labels.iter().find(|(key, value)| key.is_empty() || !sound(key) || !sound(value));
    if let Some((key, value)) = bad {
        return Err(Status::invalid_argument(format!("{key:?}={value:?} is not a label")));
    }
    if labels.len() > 64 {
        return Err(Status::invalid_argument("more than 64 labels"));
    }
    Ok(labels)
}

fn status_of(refused: &Refused) -> Status {
    use argosy_core::registry::AddError;
    let message = refused.to_string();
    match refused {
        Refused::Add(AddError::Taken { .. }) => Status::already_exists(message),
        Refused::Add(AddError::Name { .. }) => Status::invalid_argument(message),
        Refused::Enrol(_) => Status::unauthenticated(message),
        Refused::Add(AddError::Absent { .. })
        | Refused::NoCluster(_)
        | Refused::NoApp(_)
        | Refused::NoClone { .. } => Status::not_found(message),
        Refused::Waiting { .. }
        | Refused::InFleet { .. }
        | Refused::NotDeleting { .. }
        | Refused::Leaves(_)
        | Refused::Away(_)
        | Refused::Documents { .. }
        | Refused::TooOld { .. }
        | Refused::NotJoined(_)
        | Refused::Export(_)
        | Refused::Receipts(_)
        | Refused::NoExport => Status::failed_precondition(message),
        Refused::Busy | Refused::Exporting(_) => Status::resource_exhausted(message),
    }
}

fn stopped(_: Stopped) -> Status {
    Status::unavailable("the hub stops")
}

fn unexpected() -> Status {
    Status::internal("the hub answered something else than was asked")
}

fn failed(error: &StoreError) -> Status {
    Status::internal(format!("the hub's store cannot be read: {error}"))
}
