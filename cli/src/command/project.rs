//! `argosy proj`.

use argosy_proto::v1;

use crate::args::{Format, ListFormat, ProjectCommand};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view::project::{self, Project};

pub(super) async fn run(hub: &Hub, command: ProjectCommand) -> Result<u8, Failure> {
    let request = v1::ListProjectsRequest {};
    let projects = hub.call(|mut client| async move { client.list_projects(request).await }).await?.projects;
    let text = match command {
        ProjectCommand::List { output } => {
            let documents =
                |format| output::document(format, &projects.iter().map(Project::from).collect::<Vec<_>>());
            match output {
                ListFormat::Table | ListFormat::Wide => project::table(&projects),
                ListFormat::Name => project::names(&projects),
                ListFormat::Json => documents(Format::Json)?,
                ListFormat::Yaml => documents(Format::Yaml)?,
            }
        }
        ProjectCommand::Get { name, output } => {
            let found = projects.iter().find(|project| project.name == name);
            let found = found.ok_or_else(|| Failure::NotFound(format!("there is no project {name:?}")))?;
            match output.format {
                Format::Table => project::detail(found),
                format @ (Format::Json | Format::Yaml) => output::document(format, &Project::from(found))?,
            }
        }
    };
    output::print(&text)?;
    Ok(OK)
}
