//! Whom a project's applications act as: read from its document, and matched with applications.

use std::collections::BTreeSet;

use super::NotPermitted;
use super::limits::matches;
use crate::application::SpecError;
use crate::application::fields::Fields;
use crate::desired::Destination;
use crate::glob::Glob;
use crate::ids::AppId;
use crate::policy::{AccountRule, Acting, ProjectLimits, ServiceAccount};
use crate::windows::SyncWindow;

/// What the name of an account must not hold (Argo CD): a pattern would let the document choose among all accounts.
const DISALLOWED: [char; 8] = ['!', '*', '[', ']', '{', '}', '\\', '/'];

/// Reads `spec.destinationServiceAccounts`, with Argo CD's refusals.
pub(super) fn accounts(spec: &mut Fields<'_>) -> Result<Vec<AccountRule>, SpecError> {
    let mut rules = Vec::new();
    let mut seen = BTreeSet::new();
    for item in spec.objects("destinationServiceAccounts")? {
        let path = item.path("");
        let rule = rule(item)?;
        if !seen.insert((rule.server.clone(), rule.namespace.clone())) {
            let why = format!("destinationServiceAccount '{}/{}' already added", rule.server, rule.namespace);
            return Err(SpecError::new(path.trim_end_matches('.'), why));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(mut item: Fields<'_>) -> Result<AccountRule, SpecError> {
    let wrong = |item: &Fields<'_>, key: &str, text: &str| {
        item.error(key, format!("{key} has an invalid format, '{text}'"))
    };
    let (server, namespace) = (item.text("server")?, item.text("namespace")?);
    for (key, pattern) in [("server", &server), ("namespace", &namespace)] {
        if pattern.contains('!') || Glob::new(pattern, &[]).is_err() {
            return Err(wrong(&item, key, pattern));
        }
    }
    let text = item.text("defaultServiceAccount")?;
    let (account_namespace, account) = text.split_once(':').unwrap_or(("", &text));
    let unnamed = account.is_empty() || text.starts_with(':') || account.contains(':');
    if unnamed || text.contains(DISALLOWED) || text.contains(char::is_whitespace) {
        return Err(wrong(&item, "defaultServiceAccount", &text));
    }
    let (account_namespace, account) = (account_namespace.to_owned(), account.to_owned());
    item.finish()?;
    Ok(AccountRule { server, namespace, account_namespace, account })
}

impl AccountRule {
    /// Tells whether it is about a destination: its URL or name, whichever the application's document says. A pattern that
    /// does not compile matches nothing.
    fn is_about(&self, destination: &Destination) -> bool {
        let server = if destination.server.is_empty() { &destination.cluster } else { &destination.server };
        let any = |pattern: &str, text: &str| {
            matches(pattern, text, false) || (pattern.is_empty() && text.is_empty())
        };
        any(&self.server, server) && any(&self.namespace, &destination.namespace)
    }
}

impl ProjectLimits {
    /// Gives what an application needs of a project's limits: of the windows those that are about it, of the accounts the
    /// one that it acts as.
    #[must_use]
    pub fn of_app(&self, app: &AppId, destination: &Destination) -> Self {
        let about = |window: &&SyncWindow| window.is_about(&app.name, destination);
        Self {
            windows: self.windows.iter().filter(about).cloned().collect(),
            accounts: Vec::new(),
            acts: self.acting(app, destination),
            ..self.clone()
        }
    }

    /// Finds whom an application acts as: the first rule that matches, as in Argo CD.
    fn acting(&self, app: &AppId, destination: &Destination) -> Option<Acting> {
        if self.accounts.is_empty() {
            return None;
        }
        let own: &str =
            if destination.namespace.is_empty() { &app.namespace } else { &destination.namespace };
        let of = |rule: &AccountRule| {
            let namespace = if rule.account_namespace.is_empty() { own } else { &rule.account_namespace };
            let namespace = namespace.to_owned();
            Acting::As(ServiceAccount { namespace, name: rule.account.clone() })
        };
        let nobody = || {
            let server =
                if destination.server.is_empty() { &destination.cluster } else { &destination.server };
            Acting::Nobody { server: server.clone(), namespace: own.to_owned() }
        };
        Some(self.accounts.iter().find(|rule| rule.is_about(destination)).map_or_else(nobody, of))
    }

    /// Gives the account that an application acts as; none where it acts as the agent itself.
    pub fn account(&self) -> Result<Option<&ServiceAccount>, NotPermitted> {
        match &self.acts {
            None => Ok(None),
            Some(Acting::As(account)) => Ok(Some(account)),
            Some(Acting::Nobody { server, namespace }) => {
                let (server, namespace) = (server.clone(), namespace.clone());
                Err(NotPermitted::NoAccount { server, namespace })
            }
        }
    }
}
