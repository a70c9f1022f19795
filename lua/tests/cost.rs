//! What judging by scripts costs.

use std::time::Duration;

use argosy_core::health::{Assessor, Health};
use argosy_core::key::GroupKind;
use argosy_lua::{Clock, Rules};
use serde_json::json;

/// Argo CD's usual way to wait for a child.
const RULE: &str = "
hs = {status = 'Progressing', message = ''}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == 'Ready' then
      if condition.status == 'True' then hs.status = 'Healthy' else hs.status = 'Degraded' end
      hs.message = condition.message
    end
  end
end
return hs";

/// Run it with `cargo test --release -p argosy-lua --test cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: it prints how long 5,000 objects take"]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures and tells")]
fn the_health_of_five_thousand_objects_by_a_script_is_told() {
    let mut rules = Rules::new(Clock { elapsed: || Duration::ZERO, unix: || 0 });
    rules.add_file("example.com/Widget/health.lua", RULE).unwrap();
    let (kind, assessor) = (GroupKind::new("example.com", "Widget"), Assessor::default().with_rules(&rules));
    let object = json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b", "c": "d"}, "generation": 2},
        "spec": {"replicas": 2, "template": {"containers": [{"name": "main", "image": "main:1"}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Up", "message": "all is well"}]},
    });
    let begin = std::time::Instant::now();
    for _ in 0..5_000 {
        assert_eq!(assessor.assess(&kind, &object).unwrap().health, Health::Healthy);
    }
    println!("health of 5,000 objects by a script: {:?}", begin.elapsed());
}
