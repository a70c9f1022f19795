//! `argosy cluster`.

use argosy_proto::v1;

use crate::args::{ClusterCommand, Format};
use crate::connection::Hub;
use crate::failure::{FAILED, Failure, OK};
use crate::output;
use crate::view::cluster::{self, Added, Cluster, Revoked};
use crate::view::reconcile::Reconciliation;

pub(super) async fn run(hub: &Hub, command: ClusterCommand) -> Result<u8, Failure> {
    match command {
        ClusterCommand::List { watch, output } => {
            super::show(watch, async || list(hub, output.format).await).await
        }
        ClusterCommand::Get { name, watch, output } => {
            super::show(watch, async || get(hub, &name, output.format).await).await
        }
        ClusterCommand::Add { name, labels, rejoin, output } => {
            let labels = labels.into_iter().map(|label| (label.key, label.value)).collect();
            add(hub, v1::AddClusterRequest { name, labels, rejoin }, output.format).await
        }
        ClusterCommand::Revoke { name, output } => revoke(hub, name, output.format).await,
        ClusterCommand::Reconcile { name, confirm, keep, output } => {
            let request = v1::ReconcileClusterRequest { name, confirm, keep };
            reconcile(hub, request, output.format).await
        }
    }
}

async fn list(hub: &Hub, format: Format) -> Result<String, Failure> {
    let clusters = super::clusters(hub).await?.clusters;
    match format {
        Format::Table => Ok(cluster::table(&clusters)),
        Format::Json | Format::Yaml => {
            output::document(format, &clusters.iter().map(Cluster::from).collect::<Vec<_>>())
        }
    }
}

async fn get(hub: &Hub, name: &str, format: Format) -> Result<String, Failure> {
    let request = v1::GetClusterRequest { name: name.to_owned() };
    let view = hub.call(|mut client| async move { client.get_cluster(request).await }).await?;
    match format {
        Format::Table => Ok(cluster::detail(&view)),
        Format::Json | Format::Yaml => output::document(format, &Cluster::from(&view)),
    }
}

async fn add(hub: &Hub, request: v1::AddClusterRequest, format: Format) -> Result<u8, Failure> {
    let rejoin = request.rejoin;
    let response = hub.call(|mut client| async move { client.add_cluster(request).await }).await?;
    let text = match format {
        Format::Table => cluster::added(&response, rejoin),
        Format::Json | Format::Yaml => output::document(format, &Added::from(&response))?,
    };
    output::print(&text)?;
    Ok(OK)
}

async fn revoke(hub: &Hub, name: String, format: Format) -> Result<u8, Failure> {
    let request = v1::RevokeClusterRequest { name: name.clone() };
    let response = hub.call(|mut client| async move { client.revoke_cluster(request).await }).await?;
    let text = match format {
        Format::Table => {
            let stream = if response.was_connected { "; its stream was cut" } else { "" };
            let text = format!("Cluster {name} ({}) is revoked{stream}. Its objects stay.", response.uuid);
            format!("{}\n", crate::text::clean(&text))
        }
        Format::Json | Format::Yaml => output::document(format, &Revoked::of(name, &response))?,
    };
    output::print(&text)?;
    Ok(OK)
}

async fn reconcile(hub: &Hub, request: v1::ReconcileClusterRequest, format: Format) -> Result<u8, Failure> {
    let name = request.name.clone();
    let response = hub.call(|mut client| async move { client.reconcile_cluster(request).await }).await?;
    let reconciliation = Reconciliation::of(&name, &response);
    let text = match format {
        Format::Table => reconciliation.render(),
        Format::Json | Format::Yaml => output::document(format, &reconciliation)?,
    };
    output::print(&text)?;
    Ok(if reconciliation.is_settled() { OK } else { FAILED })
}
