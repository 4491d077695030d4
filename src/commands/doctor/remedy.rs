//! Remedies for causes that other programs report.

/// Returns the remedy for an error of a connection, by the words of its cause.
pub(super) fn of_connection(error: &str, setting: &str) -> String {
    let error = error.to_lowercase();
    let remedies = [
        (
            &[
                "password authentication",
                "noauth",
                "wrongpass",
                "authorization violation",
                "authentication failed",
            ][..],
            "check the user name and the password; percent-encode @, /, ? and # in them",
        ),
        (
            &["connection refused"],
            "start the server at this address, or correct host and port",
        ),
        (
            &[
                "no answer in time",
                "took longer",
                "timed out",
                "no result within",
            ],
            "check host, port and firewall: nothing answers at this address",
        ),
        (
            &[
                "failed to lookup",
                "name or service",
                "dns error",
                "resolve",
            ],
            "correct the host name",
        ),
        (
            &["does not exist"],
            "create the database, or correct its name",
        ),
        (
            &["permission", "noperm", "grant", "permit"],
            "give the user the permissions that docs/operations.md lists",
        ),
        (
            &["certificate", "tls", "ssl"],
            "check the certificate, and whether the server expects TLS at this port",
        ),
        (
            &["pooler"],
            "use PgBouncer 1.21 or newer with max_prepared_statements above 0, pool_mode = session, or the address of \
             PostgreSQL itself",
        ),
    ];
    let is_cause = |words: &&[&str]| words.iter().any(|word| error.contains(word));
    let found = remedies.iter().find(|(words, _)| is_cause(words));
    let remedy = found.map_or(
        "correct the setting, or the server at its address",
        |(_, it)| it,
    );
    format!("{setting}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_fits_the_cause() {
        for (error, word) in [
            (
                "password authentication failed for user \"ann\"",
                "password",
            ),
            (
                "cannot connect to h:1: Connection refused",
                "start the server",
            ),
            ("grant +spublish +ssubscribe", "permissions"),
            ("something new", "correct the setting"),
        ] {
            let remedy = of_connection(error, "--broker-url");
            assert!(remedy.starts_with("--broker-url: "), "{remedy}");
            assert!(remedy.contains(word), "{error}: {remedy}");
        }
    }
}
