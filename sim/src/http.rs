//! The Kubernetes API of a cluster over HTTP: what `kubectl` and other clients talk to.
//!
//! A request is read (`path`, `query`, `media`, `body`), its sender is asked for (`rbac`), the cluster carries
//! it out in one piece under a lock, and the answer is written in the form that was asked for (`forms`, `table`).
//! Watches look at the cluster's records whenever its version changes. Nothing here decides what becomes of an object.

mod answer;
mod audit;
mod body;
mod decode;
mod discovery;
mod faults;
mod forms;
mod handler;
mod kubeconfig;
mod media;
mod memory;
mod openapi;
mod options;
mod path;
mod protobuf;
mod query;
mod rbac;
mod refusal;
mod reviews;
mod server;
mod shared;
mod table;
mod tls;
mod watch;

pub use self::answer::Body;
pub use self::audit::Audit;
pub use self::faults::Temper;
pub use self::kubeconfig::kubeconfig;
pub use self::memory::InMemory;
pub use self::rbac::User;
pub use self::server::{ControlPlane, Login, ServeError, Server, Settings};
pub use self::shared::Clock;
pub use self::tls::{Identity, TlsError};
