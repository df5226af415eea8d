//! The promises, by name: real processes over loopback, met only through their sockets, signals and files.
#![cfg(test)]

mod bad_input;
mod bad_upstream;
mod bodies;
mod bootstrap;
mod cli;
mod control_plane;
mod drain;
mod first_run;
mod framing;
mod http2;
mod keys;
mod limits;
mod models;
mod outage;
mod secrets;
mod security;
mod streaming;
mod swap;
mod tls;
mod usage;

mod harness;
