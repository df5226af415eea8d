//! A model as a caller is told of it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelRow<'m> {
    pub name: &'m str,
    pub owner: &'m str,
    /// In seconds since 1970.
    pub created_s: u64,
}

#[cfg(test)]
mod tests;
