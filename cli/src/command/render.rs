//! `argosy render`: what the hub would make of a source, told from files.

use argosy_core::render::Rendered;
use serde_json::Value;

use super::source;
use crate::args::RenderArguments;
use crate::failure::{Failure, OK};
use crate::output;

pub(super) fn run(arguments: &RenderArguments) -> Result<u8, Failure> {
    let loaded = source::load(&arguments.source.source, &arguments.source.directory)?;
    let objects = values(&loaded.rendered)?;
    output::print(&output::manifests(arguments.format, objects)?)?;
    Ok(OK)
}

/// Gives the rendered objects in the order of their release.
pub(super) fn values(rendered: &Rendered) -> Result<Vec<Value>, Failure> {
    let value = |bytes: &[u8]| {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::Failed(format!("a rendered manifest is no JSON: {error}")))
    };
    rendered.manifests.iter().map(|manifest| value(&manifest.canonical)).collect()
}
