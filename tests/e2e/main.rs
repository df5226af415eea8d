//! The promises, by name: real processes over loopback, met only through their sockets, signals and files.
#![cfg(test)]

mod first_run;
mod keys;
mod models;
mod bodies;
mod streaming;
mod usage;
mod swap;
mod control_plane;
mod bad_input;
mod outage;
mod drain;
mod secrets;
mod security;

mod harness;
