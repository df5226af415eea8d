//! What the tests are written with: real processes, an upstream that does as it is told, a client that sends any bytes.

pub mod api;
pub mod client;
pub mod cluster;
pub mod etcd;
pub mod eventually;
pub mod http;
pub mod load;
pub mod process;
pub mod script;
pub mod temp;
pub mod upstream;

pub use api::Api;
pub use client::{Answer, Client};
pub use cluster::{Cluster, Store};
pub use eventually::{eventually, within};
pub use load::Load;
pub use script::Step;
pub use upstream::Upstream;
