//! What is said to a caller whose request fails here, whatever its dialect.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people. Never holds what another caller, or the operator, would not want to be read.
    pub message: String,
    /// The field of the request to look at.
    pub param: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Server,
    Unavailable,
    Timeout,
}

impl FaultKind {
    pub const ALL: [FaultKind; 9] = [
        FaultKind::InvalidRequest,
        FaultKind::Authentication,
        FaultKind::Permission,
        FaultKind::NotFound,
        FaultKind::TooLarge,
        FaultKind::RateLimit,
        FaultKind::Server,
        FaultKind::Unavailable,
        FaultKind::Timeout,
    ];
}

impl Fault {
    #[must_use]
    pub fn new(kind: FaultKind, code: &'static str, message: impl Into<String>) -> Fault {
        Fault { kind, code, message: message.into(), param: None }
    }

    #[must_use]
    pub fn with_param(self, param: impl Into<String>) -> Fault {
        Fault { param: Some(param.into()), ..self }
    }
}

#[cfg(test)]
mod tests;
