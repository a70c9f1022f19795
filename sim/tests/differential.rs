//! Holds the simulated cluster to a real control plane: one script of requests is sent to both, and every answer and
//! every event of a watch must be the same, but for times, UIDs, versions and addresses.
//!
//! A real API server is named by `ARGOSY_REAL_URL` and `ARGOSY_REAL_TOKEN` (of a member of `system:masters`); without
//! them there is nothing to compare with, so the comparisons are ignored by default. It should run without controllers:
//! the simulated one has none here either, so that both answer nothing but requests. `ARGOSY_SCRIPTS` says how many
//! scripts are tried in all areas together, `ARGOSY_SEED` where they begin. With `ARGOSY_ALL` all scripts are played and
//! all differences told, otherwise the first one in its shortest form. `make differential` does all that.

#[cfg(test)]
mod differential {
    mod client;
    mod generate;
    mod kinds;
    mod normal;
    mod play;
    mod script;
    mod side;
    mod stage;

    use self::kinds::Area;
    use self::stage::Stage;

    /// Plays generated scripts of an area on both.
    fn compare(area: Area) {
        Stage::from_environment().compare(area);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn config_maps_are_answered_as_the_real_one_answers() {
        compare(Area::ConfigMaps);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn custom_resources_are_answered_as_the_real_one_answers() {
        compare(Area::CustomResources);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn deployments_are_answered_as_the_real_one_answers() {
        compare(Area::Deployments);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn services_are_answered_as_the_real_one_answers() {
        compare(Area::Services);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn secrets_and_accounts_are_answered_as_the_real_one_answers() {
        compare(Area::SecretsAndAccounts);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn workloads_are_answered_as_the_real_one_answers() {
        compare(Area::Workloads);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn namespaces_are_answered_as_the_real_one_answers() {
        compare(Area::Namespaces);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn definitions_are_answered_as_the_real_one_answers() {
        compare(Area::Definitions);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn all_other_kinds_are_answered_as_the_real_one_answers() {
        compare(Area::Rest);
    }

    #[test]
    #[ignore = "needs a real control plane"]
    fn requests_that_make_no_sense_are_refused_as_the_real_one_refuses() {
        Stage::from_environment().compare_each("mistakes", &generate::mistakes());
    }
}
