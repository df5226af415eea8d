//! The built binary against a scripted control plane: what it asks, what it prints, and how it exits.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod read;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod run;
#[cfg(test)]
mod script;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod up;
