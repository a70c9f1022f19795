//! Tracking metadata: which app of which installation an object belongs to, and the body that is applied.
//!
//! The annotation has Argo CD's form, `<instance>:<group>/<kind>:<namespace>/<name>`; our installation id stands beside
//! it, so that two hubs never share an object (M1). A `CustomResourceDefinition` gets the watch label alone (M19).

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::cluster::Tracking;
use crate::ids::{AppId, Digest, InstallationId};
use crate::key::ResourceKey;
use crate::manifest::is_about_part;

/// Annotation that names app and object (Argo CD: resource tracking).
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// Annotation with the hub's installation id.
pub const INSTALLATION_ID: &str = "argosy.dev/installation-id";
/// Argo CD's own annotation for its installations.
pub const ARGOCD_INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// Label that watches select on (M19).
pub const MANAGED: &str = "argosy.dev/managed";
/// Value of [`MANAGED`].
pub const MANAGED_VALUE: &str = "true";
/// Label by which Argo CD tracks where its installation is set to; charts and people use it as well.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Field managers of Argo CD: its server-side and its client-side apply.
const ARGOCD_MANAGERS: [&str; 2] = ["argocd-controller", "argocd-application-controller"];
/// Field manager of whole objects.
pub const FIELD_MANAGER: &str = "argosy";
/// Annotation of a manifest that states a part of an object; it names the part and is never sent.
pub const PART: &str = "argosy.dev/part";

/// Gives the field manager by which an object, or a part of one, is applied.
pub fn manager_of(part: &str) -> Cow<'static, str> {
    if part.is_empty() { Cow::Borrowed(FIELD_MANAGER) } else { Cow::Owned(format!("{FIELD_MANAGER}.{part}")) }
}

/// Gives the tracking annotation of an object.
pub fn tracking_id(app: &AppId, key: &ResourceKey) -> String {
    format!("{}:{}/{}:{}/{}", app.instance(), key.group, key.kind, key.namespace, key.name)
}

/// Reads a tracking annotation; `None` where it has another form.
pub fn parse_tracking_id(text: &str) -> Option<(AppId, ResourceKey)> {
    let mut parts = text.splitn(3, ':');
    let (instance, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (group, kind) = kind.split_once('/')?;
    let (namespace, name) = name.split_once('/')?;
    let whole = !instance.is_empty() && !kind.is_empty() && !name.is_empty() && !name.contains('/');
    whole.then(|| (AppId::from_instance(instance), ResourceKey::new(group, kind, namespace, name)))
}

/// Reads what tracks an object from its annotations and labels.
pub fn read(metadata: &Value) -> Tracking {
    let get =
        |group: &str, name: &str| metadata.get(group).and_then(|map| map.get(name)).and_then(Value::as_str);
    let annotation = |name: &str| get("annotations", name);
    let installation = annotation(INSTALLATION_ID).map(str::parse::<InstallationId>);
    if let Some(id) = annotation(TRACKING_ID) {
        return match (installation, parse_tracking_id(id)) {
            (Some(Ok(installation)), Some((app, names))) => {
                Tracking::Ours { installation: Some(installation), app, names }
            }
            (Some(_), _) => Tracking::Other(format!("an Argosy installation, by {TRACKING_ID} {id:?}")),
            (None, _) => Tracking::Other(format!("Argo CD, by {TRACKING_ID} {id:?}")),
        };
    }
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        let namespace = annotation("meta.helm.sh/release-namespace").unwrap_or_default();
        return Tracking::Other(format!("Helm release {namespace}/{release}"));
    }
    for (label, tool) in [
        ("kustomize.toolkit.fluxcd.io/name", "Flux Kustomization"),
        ("helm.toolkit.fluxcd.io/name", "Flux HelmRelease"),
        ("fleet.cattle.io/bundle-id", "Fleet bundle"),
        ("work.open-cluster-management.io/manifestwork", "ManifestWork"),
    ] {
        if let Some(name) = get("labels", label) {
            return Tracking::Other(format!("{tool} {name}"));
        }
    }
    if let Some(name) = get("labels", INSTANCE).filter(|_| is_written_by_argo_cd(metadata)) {
        let remedy = format!("to hand it over, take the label off: kubectl label ... {INSTANCE}-");
        return Tracking::Other(format!("Argo CD, by the label {INSTANCE} {name:?}; {remedy}"));
    }
    Tracking::None
}

/// Tells whether Argo CD owns the label by which it tracks.
fn is_written_by_argo_cd(metadata: &Value) -> bool {
    let entries = metadata.get("managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
        let label = ["fieldsV1", "f:metadata", "f:labels", "f:app.kubernetes.io/instance"];
        let owned = label.iter().try_fold(entry, |value, name| value.get(name));
        ARGOCD_MANAGERS.contains(&manager) && owned.is_some()
    })
}

/// Makes the body that is applied: the manifest in its namespace, with tracking metadata, or of a part with none (M19). The
/// same inputs always give the same bytes.
pub fn body(manifest: &Value, key: &ResourceKey, app: &AppId, installation: InstallationId) -> Value {
    let mut body = manifest.clone();
    let Some(root) = body.as_object_mut() else { return body };
    let text = |text: String| Value::String(text);
    change(root, "metadata", |metadata| {
        if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            metadata.insert("name".to_owned(), text(key.name.to_string()));
            metadata.remove("generateName");
        }
        if key.namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".to_owned(), text(key.namespace.to_string()));
        }
        if key.is_part() {
            leave_unmarked(metadata);
            return;
        }
        change(metadata, "labels", |labels| {
            labels.insert(MANAGED.to_owned(), text(MANAGED_VALUE.to_owned()));
        });
        if !key.is_crd() {
            change(metadata, "annotations", |annotations| {
                annotations.insert(TRACKING_ID.to_owned(), text(tracking_id(app, key)));
                annotations.insert(INSTALLATION_ID.to_owned(), text(installation.to_string()));
            });
        }
    });
    body
}

/// Gives what a manifest of a part states of its object.
pub(crate) fn of_part(manifest: &Value) -> Value {
    let mut stated = manifest.clone();
    if let Some(Value::Object(metadata)) = stated.get_mut("metadata") {
        leave_unmarked(metadata);
    }
    stated
}

/// Takes out of the metadata of a part what speaks of the part and not of its object.
fn leave_unmarked(metadata: &mut Map<String, Value>) {
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.retain(|name, _| !is_about_part(name));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// Makes the body by which a part is given up: it states nothing but which incarnation of which object. The API server then
/// removes the fields that nobody else owns.
pub fn giving_up(api_version: &str, key: &ResourceKey, uid: &str) -> Value {
    let mut metadata = json!({"name": key.name, "uid": uid});
    if let (false, Some(map)) = (key.namespace.is_empty(), metadata.as_object_mut()) {
        map.insert("namespace".to_owned(), Value::String(key.namespace.to_string()));
    }
    json!({"apiVersion": api_version, "kind": key.kind, "metadata": metadata})
}

/// Digest of a body, to notice that another version of this program would apply another one.
pub fn body_digest(body: &Value) -> Digest {
    Digest::of(body.to_string().as_bytes())
}

/// Changes the object in `field`, made if it is absent or something else.
fn change(map: &mut Map<String, Value>, field: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut inner = match map.remove(field) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    change(&mut inner);
    map.insert(field.to_owned(), Value::Object(inner));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn installation() -> InstallationId {
        InstallationId::from_random([7; 16])
    }

    #[test]
    fn tracking_is_read_back_from_an_applied_body() {
        let app = AppId::new("team", "web");
        let key = ResourceKey::new("apps", "Deployment", "shop", "web");
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        let body = body(&manifest, &key, &app, installation());
        assert_eq!(body["metadata"]["namespace"], "shop");
        let expected = Tracking::Ours { installation: Some(installation()), app, names: key };
        assert_eq!(read(&body["metadata"]), expected);
    }

    #[test]
    fn a_definition_gets_the_label_alone() {
        let key = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "a.b");
        let manifest = json!({"metadata": {"name": "a.b", "namespace": "stray"}});
        let body = body(&manifest, &key, &AppId::new("", "web"), installation());
        assert_eq!(body["metadata"], json!({"name": "a.b", "labels": {MANAGED: "true"}}));
    }

    #[test]
    fn a_part_carries_neither_label_nor_annotation_of_ours() {
        let key = ResourceKey::new("", "ConfigMap", "shop", "a").with_part("mesh");
        let stated = |annotations: Value| {
            let manifest = json!({"metadata": {"name": "a", "annotations": annotations}, "data": {"x": "1"}});
            body(&manifest, &key, &AppId::new("", "web"), installation())
        };
        let plain = json!({"metadata": {"name": "a", "namespace": "shop"}, "data": {"x": "1"}});
        assert_eq!(stated(json!({PART: "mesh", "argocd.argoproj.io/sync-wave": "2"})), plain);
        assert_eq!(stated(json!({PART: "mesh", "a": "b"}))["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!((manager_of("mesh"), manager_of("")), ("argosy.mesh".into(), "argosy".into()));
    }

    #[test]
    fn what_gives_a_part_up_states_nothing_but_the_incarnation() {
        let key = ResourceKey::new("", "Namespace", "", "shop").with_part("mesh");
        let expected =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "u"}});
        assert_eq!(giving_up("v1", &key, "u"), expected);
        let key = ResourceKey::new("", "ConfigMap", "shop", "a").with_part("mesh");
        assert_eq!(giving_up("v1", &key, "u")["metadata"]["namespace"], "shop");
    }

    #[test]
    fn other_tools_are_recognised() {
        let helm = json!({"annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}});
        assert_eq!(read(&helm), Tracking::Other("Helm release shop/web".to_owned()));
        let argo = json!({"annotations": {TRACKING_ID: "web:/ConfigMap:shop/a"}});
        assert!(matches!(read(&argo), Tracking::Other(name) if name.starts_with("Argo CD")));
        let labels = json!({INSTANCE: "web"});
        let owned = json!({"f:metadata": {"f:labels": {"f:app.kubernetes.io/instance": {}}}});
        let by = |manager: &str| json!({"labels": labels, "managedFields": [{"manager": manager, "fieldsV1": owned}]});
        let by_label = "Argo CD, by the label app.kubernetes.io/instance \"web\"; to hand it over";
        for manager in ARGOCD_MANAGERS {
            assert!(
                matches!(read(&by(manager)), Tracking::Other(why) if why.starts_with(by_label)),
                "{manager}"
            );
        }
        assert_eq!(read(&by("kubectl-client-side-apply")), Tracking::None, "a chart's label tracks nothing");
        assert_eq!(read(&json!({"labels": labels})), Tracking::None);
        let flux = json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "web"}});
        assert_eq!(read(&flux), Tracking::Other("Flux Kustomization web".to_owned()));
        assert_eq!(read(&json!({})), Tracking::None);
    }

    #[test]
    fn malformed_tracking_is_nobodys_app() {
        for text in ["", "a", "a:b", "a:b:c", "a:b/c:d", ":b/c:d/e", "a:g/:n/x", "a:g/k:n/x/y"] {
            assert_eq!(parse_tracking_id(text), None, "{text}");
        }
        let (app, key) = parse_tracking_id("web:/Service:shop/a:b").unwrap();
        assert_eq!((app.name.as_str(), key.name.as_str()), ("web", "a:b"));
    }
}
