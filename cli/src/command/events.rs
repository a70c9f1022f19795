//! `argosy events`.

use argosy_proto::v1;

use crate::args::Format;
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::view::event;

pub(super) async fn run(hub: &Hub, request: v1::EventsRequest, format: Format) -> Result<u8, Failure> {
    let mut events = hub.call(|mut client| async move { client.events(request).await }).await?;
    if format == Format::Table {
        output::print(&event::head())?;
    }
    while let Some(event) = events.message().await.map_err(|status| hub.failure(&status))? {
        let text = match format {
            Format::Table => event::row(&event),
            Format::Json => output::line(&event::Event::from(&event))?,
            Format::Yaml => format!("---\n{}", output::document(format, &event::Event::from(&event))?),
        };
        output::print(&text)?;
    }
    Ok(OK)
}
