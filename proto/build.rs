//! Generates the wire's types and services from `argosy/v1/*.proto`, without `protoc`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 4] =
    ["argosy/v1/link.proto", "argosy/v1/enrollment.proto", "argosy/v1/bundle.proto", "argosy/v1/fleet.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=argosy");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".")
        // A generated `connect` would clash with the method of that name; channels are made with our own TLS anyway.
        .build_transport(false)
        // These hold one-time tokens, which no log may show.
        .skip_debug(["argosy.v1.EnrollRequest", "argosy.v1.AddClusterResponse"])
        .compile_fds(descriptors)?;
    Ok(())
}
