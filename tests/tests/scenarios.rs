//! Scenarios on control planes, real ones or `argosy-sim` as `ARGOSY_CONTROL_PLANE` says. One binary, so that its tests
//! share them.

#[cfg(test)]
mod scenarios {
    mod app_of_apps;
    mod asking;
    mod bundles;
    mod cells;
    mod chaos;
    mod cluster_client;
    mod comparison;
    mod demo;
    mod everyday;
    mod fleet_source;
    mod governor;
    mod harness;
    mod history;
    mod hooks;
    mod ignored;
    mod impersonation;
    mod joining_again;
    mod journal;
    mod killed;
    mod leaving;
    mod local_policy;
    mod lost_store;
    mod membership;
    mod neighbours;
    mod one_writer;
    mod operator;
    mod options;
    mod partial;
    mod parts;
    mod paused;
    mod policies;
    mod preview;
    mod projects;
    mod real_input;
    mod rest;
    mod restored_hub;
    mod scripts;
    mod stage;
    mod thin_link;
    mod trouble;
    mod waves;
    mod windows;
}
