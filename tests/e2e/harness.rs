//! What the tests are written with: real processes, an upstream that does as it is told, a client that sends any bytes.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod etcd;
pub(crate) mod eventually;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod script;
pub(crate) mod temp;
pub(crate) mod upstream;

pub(crate) use api::Api;
pub(crate) use client::{Answer, Client};
pub(crate) use cluster::{Cluster, Store};
pub(crate) use eventually::{eventually, within};
pub(crate) use load::Load;
pub(crate) use script::Step;
pub(crate) use upstream::Upstream;
