//! A glance at certificates in PEM: enough to tell them from a path or a key. What is in them is for TLS to say.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCertificates {
    #[error("it holds a private key; only certificates belong here")]
    PrivateKey,
    #[error("it must be certificates in PEM: -----BEGIN CERTIFICATE----- ... -----END CERTIFICATE-----")]
    Shape,
}

pub fn check_certificates(text: &str) -> Result<(), NotCertificates> {
    if text.contains("PRIVATE KEY-----") {
        return Err(NotCertificates::PrivateKey);
    }
    let mut inside = None;
    let mut count = 0u32;
    for line in text.lines().map(str::trim) {
        match (line, inside) {
            ("-----BEGIN CERTIFICATE-----", None) => inside = Some(0usize),
            ("-----END CERTIFICATE-----", Some(letters)) if letters > 0 => {
                inside = None;
                count = count.saturating_add(1);
            }
            (_, _) if line.starts_with("-----") => return Err(NotCertificates::Shape),
            (_, Some(letters)) => {
                if !line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
                    return Err(NotCertificates::Shape);
                }
                inside = Some(letters.saturating_add(line.len()));
            }
            (_, None) => {}
        }
    }
    if inside.is_some() || count == 0 { Err(NotCertificates::Shape) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn certificates_pass_with_words_around_them() {
        assert_eq!(check_certificates(ONE), Ok(()));
        assert_eq!(check_certificates(&format!("# ours: -----BEGIN CERTIFICATE-----\n{ONE}\n{ONE}")), Ok(()));
    }

    #[test]
    fn anything_else_does_not() {
        for text in ["", "/etc/ca.pem", &ONE[5..], &ONE[..40], &ONE.replace("AAAA", ""), &ONE.replace("AAAA", "A A")] {
            assert_eq!(check_certificates(text), Err(NotCertificates::Shape), "{text}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert_eq!(check_certificates(key), Err(NotCertificates::PrivateKey));
    }
}
