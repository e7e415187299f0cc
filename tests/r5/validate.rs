//! A resource held against the specification: every element by the snapshot that describes it.

use ohx_domain::FhirVersion;

use crate::definitions::{Element, Kind, Structure, Type, is_resource, structure, value_set};
use crate::invariants::{At, holds};
use crate::json::Json;
use crate::primitive;

/// The resources that this program writes.
pub(crate) const RESOURCES: &[&str] =
    &["Observation", "Device", "DeviceAssociation", "DeviceDefinition", "Provenance", "CodeSystem"];

/// Those of them that it writes in R4 and R4B.
pub(crate) const OLD_RESOURCES: &[&str] = &["Observation", "Device", "DeviceDefinition", "Provenance"];

/// The vital-signs profiles.
pub(crate) const VITAL_SIGNS: &[&str] = &[
    "vitalsigns",
    "vitalspanel",
    "resprate",
    "heartrate",
    "oxygensat",
    "bodytemp",
    "bodyheight",
    "headcircum",
    "bodyweight",
    "bmi",
    "bp",
];

/// What is wrong with a resource of R5.
pub(crate) fn problems(text: &str, profiles: &[&str]) -> Vec<String> {
    problems_in(FhirVersion::R5, text, profiles)
}

/// What is wrong with a resource, by a release, the profiles that it claims, and `profiles` (names or URLs). A claimed
/// profile that is not of the release is not looked at. Empty: nothing.
pub(crate) fn problems_in(version: FhirVersion, text: &str, profiles: &[&str]) -> Vec<String> {
    let resource = match Json::parse(text) {
        Ok(resource) => resource,
        Err(error) => return vec![error],
    };
    let mut walk = Walk { version, root: &resource, problems: Vec::new() };
    walk.resource(&resource, "", None);
    let claimed = resource.at("meta.profile");
    let claimed = claimed.iter().filter_map(|p| p.text()).filter(|p| structure(version, p).is_some());
    for profile in claimed.chain(profiles.iter().copied()) {
        let profile = structure(version, profile).unwrap_or_else(|| panic!("{profile} is no profile"));
        if Some(profile.base.as_str()) == resource.text_of("resourceType") {
            walk.resource(&resource, "", Some(profile));
        } else {
            walk.problems.push(format!("meta.profile: is about {}", profile.base));
        }
    }
    walk.problems.sort();
    walk.problems.dedup();
    walk.problems
}

struct Walk<'a> {
    version: FhirVersion,
    root: &'a Json,
    problems: Vec<String>,
}

/// One value of an element.
struct Instance<'a> {
    path: String,
    /// None where there is only an extension in its place.
    value: Option<&'a Json>,
    /// Id and extensions of a primitive value: the member whose name begins with `_`.
    extra: Option<&'a Json>,
    of: &'static Type,
}

impl<'a> Walk<'a> {
    fn problem(&mut self, path: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{path}: {what}"));
    }

    /// A resource, by the definition of its type or by a profile on it.
    fn resource(&mut self, resource: &'a Json, path: &str, profile: Option<&'static Structure>) {
        let name = resource.text_of("resourceType").unwrap_or_default();
        let base =
            structure(self.version, name).filter(|s| matches!(s.kind, Kind::Resource) && s.base == name);
        let Some(definition) = profile.or(base) else {
            return self.problem(path, format!("resourceType {name:?} is none"));
        };
        let path = if path.is_empty() { name.to_owned() } else { path.to_owned() };
        self.invariants(&path, &definition.root, resource);
        self.members(&path, resource, &definition.root.children, definition);
    }

    fn invariants(&mut self, path: &str, element: &Element, value: &'a Json) {
        for key in &element.invariants {
            if holds(key, &At { value, root: self.root }) == Some(false) {
                self.problem(path, key);
            }
        }
    }

    /// The members of an object, by the elements that it may have.
    fn members(
        &mut self,
        path: &str,
        object: &'a Json,
        elements: &'static [Element],
        owner: &'static Structure,
    ) {
        let Json::Object(members) = object else { return self.problem(path, "is not an object") };
        if members.is_empty() {
            self.problem(path, "is empty");
        }
        let mut unknown: Vec<&str> = members.iter().map(|(n, _)| n.as_str()).collect();
        if matches!(owner.kind, Kind::Resource) && std::ptr::eq(elements, owner.root.children.as_slice()) {
            unknown.retain(|n| *n != "resourceType");
        }
        for element in elements {
            let mut instances: Vec<Instance<'a>> = Vec::new();
            let mut variants = 0;
            for of in &element.types {
                let name = if element.choice {
                    format!("{}{}", element.name, upper(&of.code))
                } else {
                    element.name.clone()
                };
                let hidden = format!("_{name}");
                let (value, extra) = (object.get(&name), object.get(&hidden));
                if value.is_none() && extra.is_none() {
                    continue;
                }
                variants += 1;
                unknown.retain(|n| *n != name && (*n != hidden || !is_primitive(self.version, of)));
                self.instances(&format!("{path}.{name}"), value, extra, element, of, &mut instances);
                if !element.choice {
                    break;
                }
            }
            if variants > 1 {
                self.problem(path, format!("{}[x] is there more than once", element.name));
            }
            // What shares another element's content has no type of its own.
            if let (true, Some(value)) = (element.types.is_empty(), object.get(&element.name)) {
                unknown.retain(|n| *n != element.name);
                self.instances(
                    &format!("{path}.{}", element.name),
                    Some(value),
                    None,
                    element,
                    &SHARED,
                    &mut instances,
                );
            }
            self.element(path, element, &instances, owner);
        }
        for name in unknown {
            self.problem(path, format!("{name} is unknown"));
        }
    }

    /// The values of a member: one, or the items of a list.
    fn instances(
        &mut self,
        path: &str,
        value: Option<&'a Json>,
        extra: Option<&'a Json>,
        element: &Element,
        of: &'static Type,
        to: &mut Vec<Instance<'a>>,
    ) {
        let absent = |v: &&Json| **v != Json::Null;
        if !element.list {
            if value == Some(&Json::Null) || extra == Some(&Json::Null) {
                self.problem(path, "is null");
            }
            return to.push(Instance { path: path.to_owned(), value, extra, of });
        }
        let mut lists = [value, extra].map(|list| match list {
            None => Some([].as_slice()),
            Some(Json::List(items)) if !items.is_empty() => Some(items.as_slice()),
            Some(_) => None,
        });
        if lists.contains(&None) {
            self.problem(path, "is not a list with something in it");
        }
        let [values, extras] = lists.each_mut().map(|l| l.take().unwrap_or_default());
        for n in 0..values.len().max(extras.len()) {
            let (value, extra) = (values.get(n).filter(absent), extras.get(n).filter(absent));
            if value.is_none() && extra.is_none() {
                self.problem(path, format!("[{n}] is null"));
            }
            to.push(Instance { path: format!("{path}[{n}]"), value, extra, of });
        }
    }

    /// Everything that is said of an element: how often it is there, what it is, and what its slices are.
    fn element(
        &mut self,
        path: &str,
        element: &'static Element,
        found: &[Instance<'a>],
        owner: &'static Structure,
    ) {
        self.count(path, element, found.len());
        for instance in found {
            self.value(instance, element, owner);
        }
        let mut in_a_slice = vec![false; found.len()];
        for slice in &element.slices {
            let mut count = 0;
            for (instance, in_a_slice) in found.iter().zip(&mut in_a_slice) {
                if is_in(slice, instance, &element.discriminators) {
                    count += 1;
                    *in_a_slice = true;
                    self.value(instance, slice, owner);
                }
            }
            self.count(path, slice, count);
        }
        for (instance, in_a_slice) in found.iter().zip(in_a_slice) {
            if element.closed && !in_a_slice {
                self.problem(&instance.path, "is in no slice");
            }
        }
    }

    fn count(&mut self, path: &str, element: &Element, count: usize) {
        if count < element.min || element.max.is_some_and(|max| count > max) {
            let max = element.max.map_or("*".to_owned(), |m| m.to_string());
            self.problem(
                path,
                format!("{} is there {count} times, not {}..{max}", element.name, element.min),
            );
        }
    }

    fn value(&mut self, instance: &Instance<'a>, element: &'static Element, owner: &'static Structure) {
        let path = &instance.path;
        if let Some(extra) = instance.extra {
            let definition = structure(self.version, "Element").unwrap();
            self.members(path, extra, &definition.root.children, definition);
        }
        let Some(value) = instance.value else { return };
        if element.fixed.as_ref().is_some_and(|f| !value.is(f, false)) {
            self.problem(path, format!("is not {}", element.fixed.as_ref().unwrap()));
        }
        if element.pattern.as_ref().is_some_and(|p| !value.is(p, true)) {
            self.problem(path, format!("is not like {}", element.pattern.as_ref().unwrap()));
        }
        self.invariants(path, element, value);
        if let Some(set) = &element.binding {
            self.binding(path, value, &instance.of.code, set);
        }
        // A type that a profile on it narrows: the element says which.
        let of = element.types.iter().find(|t| t.code == instance.of.code);
        if let Some(of) = of.filter(|t| t.code == "Reference") {
            self.target(path, value, of);
        }
        let (version, profiles) = (self.version, of.iter().flat_map(|t| &t.profiles));
        for profile in profiles.filter_map(|p| structure(version, p)) {
            self.invariants(path, &profile.root, value);
            self.members(path, value, &profile.root.children, profile);
        }
        self.content(instance, value, element, owner);
    }

    /// What is in a value, by its type.
    fn content(
        &mut self,
        instance: &Instance<'a>,
        value: &'a Json,
        element: &'static Element,
        owner: &'static Structure,
    ) {
        let (path, code) = (&instance.path, instance.of.code.as_str());
        if let Some(shared) = &element.content {
            let shared = find(owner, shared);
            return self.members(path, value, &shared.children, owner);
        }
        if code == "Resource" {
            return self.resource(value, path, None);
        }
        let definition = structure(self.version, code).unwrap_or_else(|| panic!("no definition of {code}"));
        if let Kind::Primitive(_) = definition.kind {
            if let Some(problem) = primitive::problem(value, code, definition) {
                self.problem(path, problem);
            }
            return;
        }
        self.invariants(path, &definition.root, value);
        match element.children.as_slice() {
            [] => self.members(path, value, &definition.root.children, definition),
            own => self.members(path, value, own, owner),
        }
    }

    /// A code that has to be in a value set.
    fn binding(&mut self, path: &str, value: &Json, code: &str, set: &str) {
        let codes = value_set(self.version, set);
        // R4 binds values of any type to units, and says that a vital sign's component may be a concept all the same.
        if codes.is_of_units() && !["Quantity", "code"].contains(&code) {
            return;
        }
        let coding = |c: &Json| c.text_of("code").is_some_and(|code| codes.has(c.text_of("system"), code));
        let inside = match code {
            "CodeableConcept" => value.at("coding").into_iter().any(coding),
            "Coding" | "Quantity" => coding(value),
            _ => value.text().is_some_and(|code| codes.has(None, code)),
        };
        if !inside {
            self.problem(path, format!("has no code of {set}"));
        }
    }

    /// What a reference points to, as far as it says so.
    fn target(&mut self, path: &str, value: &Json, of: &Type) {
        let mut named: Vec<String> = value.text_of("type").map(str::to_owned).into_iter().collect();
        if let Some(reference) = value.text_of("reference") {
            let parts: Vec<&str> =
                reference.split("/_history/").next().unwrap_or_default().split('/').collect();
            match (reference, parts.as_slice()) {
                (internal, _) if internal.starts_with('#') => {
                    let contained = self.root.at("contained");
                    let is_it = |c: &&&Json| c.text_of("id").is_some_and(|id| internal[1..] == *id);
                    named.extend(
                        contained
                            .iter()
                            .find(is_it)
                            .and_then(|c| c.text_of("resourceType"))
                            .map(str::to_owned),
                    );
                }
                (urn, _) if urn.starts_with("urn:uuid:") || urn.starts_with("urn:oid:") => {}
                (_, [.., kind, id]) if !id.is_empty() && is_resource(self.version, kind) => {
                    named.push((*kind).to_owned())
                }
                _ => self.problem(path, format!("{reference:?} is no reference")),
            }
        }
        for kind in named {
            if !of.may_point_to(self.version, &kind) {
                self.problem(path, format!("may not point to a {kind}"));
            }
        }
    }
}

/// The type of an element that shares another's content: an anonymous one.
static SHARED: std::sync::LazyLock<Type> =
    std::sync::LazyLock::new(|| Type { code: "BackboneElement".into(), ..Type::default() });

fn upper(code: &str) -> String {
    let mut letters = code.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn is_primitive(version: FhirVersion, of: &Type) -> bool {
    structure(version, &of.code).is_some_and(|s| matches!(s.kind, Kind::Primitive(_)))
}

/// The element of a path such as `Observation.referenceRange`.
fn find(owner: &'static Structure, path: &str) -> &'static Element {
    path.split('.').skip(1).fold(&owner.root, |at, name| {
        at.children.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no {path}"))
    })
}

/// Whether a value belongs to a slice.
fn is_in(slice: &Element, instance: &Instance<'_>, discriminators: &[(String, String)]) -> bool {
    discriminators.iter().all(|(kind, path)| match (kind.as_str(), path.as_str()) {
        ("type", "$this") => slice.types.iter().any(|t| t.code == instance.of.code),
        // An extension is told by the profile on it, whose URL is its own.
        ("value", "url") if slice.types.iter().any(|t| t.code == "Extension") => {
            let url = instance.value.and_then(|v| v.text_of("url"));
            slice.types.iter().flat_map(|t| &t.profiles).any(|p| Some(p.as_str()) == url)
        }
        ("value", path) => {
            let mut wanted = Vec::new();
            fixed(slice, &path.split('.').collect::<Vec<_>>(), &mut wanted);
            assert!(!wanted.is_empty(), "{}: nothing fixed at {path}", slice.name);
            let found = instance.value.map(|v| v.at(path)).unwrap_or_default();
            found.iter().any(|v| wanted.iter().any(|w| v.is(w, false)))
        }
        other => panic!("{}: discriminator {other:?}", slice.name),
    })
}

/// The values that a slice fixes at a path, in slices of its own too.
fn fixed<'a>(element: &'a Element, path: &[&str], to: &mut Vec<&'a serde_json::Value>) {
    let Some((name, rest)) = path.split_first() else {
        to.extend(element.fixed.as_ref());
        return;
    };
    for child in element.children.iter().filter(|c| c.name == *name) {
        fixed(child, rest, to);
        child.slices.iter().for_each(|s| fixed(s, rest, to));
    }
}
