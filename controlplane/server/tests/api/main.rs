//! The control plane as its callers see it: REST on one side, gRPC on the other, and a real embedded store between.
#![cfg(test)]

mod house;
mod proxy;

mod access;
mod changes;
mod documents;
mod keys;
mod streams;
mod tls;
mod usage;
