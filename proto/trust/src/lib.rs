//! How the planes keep secrets and know each other.
//!
//! `seal`: provider credentials are sealed in the control plane, travel sealed, and are opened in the proxy that
//! uses them; both hold the same seal key. `hash`: a presented key becomes the hash it is known by.
//! `tls`: rustls configurations from PEM bytes.
//!
//! Both planes must agree on these to the byte, hence one crate. It opens no files and no sockets.

mod hash;
mod seal;
mod tls;

pub use hash::{equal, hash_key, random_bytes};
pub use seal::{Broken, Keyring, Sealed};
pub use tls::{BadTls, Identity, client_config, install_crypto, server_config};
