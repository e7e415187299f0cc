//! HL7's definitions of FHIR R5, R4B and R4 as `tests/needs r5` unpacks them: snapshots as trees, value sets as lists of
//! codes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use ohx_domain::FhirVersion;
use regex::Regex;
use serde_json::Value;

/// The folder of a package.
pub(crate) fn package(name: &str) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/r5")).join(name);
    assert!(folder.join("unpacked").exists(), "HL7's definitions are missing: run tests/needs r5");
    folder
}

/// The package with a release's definitions. R4's core package is not on npm; its examples come with every definition.
pub(crate) const fn definitions(version: FhirVersion) -> &'static str {
    match version {
        FhirVersion::R4 => "hl7.fhir.r4.examples",
        FhirVersion::R4B => "hl7.fhir.r4b.core",
        FhirVersion::R5 => "hl7.fhir.r5.core",
    }
}

/// A file of a release's definitions. None where there is no such file.
fn core(version: FhirVersion, file: &str) -> Option<Value> {
    let text = std::fs::read(package(definitions(version)).join(file)).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// The last part of a canonical URL, without its version.
fn name_of(url: &str) -> &str {
    let url = url.split('|').next().unwrap_or(url);
    url.rsplit('/').next().unwrap_or(url)
}

/// A type, a resource or a profile.
pub(crate) struct Structure {
    /// The type that it is or constrains.
    pub(crate) base: String,
    pub(crate) kind: Kind,
    pub(crate) root: Element,
}

/// What kind of thing a structure is.
pub(crate) enum Kind {
    Resource,
    Complex,
    /// With the format of its text.
    Primitive(Option<Regex>),
}

/// What a snapshot says of one element.
#[derive(Default)]
pub(crate) struct Element {
    /// The last part of its path, without `[x]`.
    pub(crate) name: String,
    /// `value[x]`: its name in JSON ends with its type.
    pub(crate) choice: bool,
    pub(crate) min: usize,
    /// None: any number.
    pub(crate) max: Option<usize>,
    /// It is a list in JSON.
    pub(crate) list: bool,
    pub(crate) types: Vec<Type>,
    pub(crate) fixed: Option<Value>,
    pub(crate) pattern: Option<Value>,
    /// The value set of a required binding.
    pub(crate) binding: Option<String>,
    /// The path of the element whose content it shares.
    pub(crate) content: Option<String>,
    /// The keys of its invariants of severity `error`.
    pub(crate) invariants: Vec<String>,
    pub(crate) children: Vec<Element>,
    /// Kind (`value`, `type`, ...) and path.
    pub(crate) discriminators: Vec<(String, String)>,
    pub(crate) slices: Vec<Element>,
    /// Only what is in a slice is allowed.
    pub(crate) closed: bool,
}

/// One of the types that an element may have.
#[derive(Default)]
pub(crate) struct Type {
    pub(crate) code: String,
    pub(crate) profiles: Vec<String>,
    /// The resource types and profiles that a reference may point to. Empty: any.
    pub(crate) targets: Vec<String>,
}

type Cache<T> = LazyLock<Mutex<HashMap<(&'static str, String), Option<&'static T>>>>;
static STRUCTURES: Cache<Structure> = LazyLock::new(Mutex::default);
static VALUE_SETS: Cache<ValueSet> = LazyLock::new(Mutex::default);

/// What the cache has by this name, or `load`s. The lock is not held while loading: loading may need the cache.
fn cached<T>(
    cache: &Cache<T>,
    version: FhirVersion,
    name: &str,
    load: impl FnOnce() -> Option<T>,
) -> Option<&'static T> {
    let key = (version.as_str(), name.to_owned());
    if let Some(known) = cache.lock().unwrap().get(&key) {
        return *known;
    }
    let loaded = load().map(|t| &*Box::leak(Box::new(t)));
    *cache.lock().unwrap().entry(key).or_insert(loaded)
}

/// A structure of a release, by its name or its URL. None where the release has no such.
pub(crate) fn structure(version: FhirVersion, url: &str) -> Option<&'static Structure> {
    if url.contains("://") && !url.starts_with("http://hl7.org/fhir/StructureDefinition/") {
        return None;
    }
    let name = name_of(url);
    let load = || core(version, &format!("StructureDefinition-{name}.json")).map(|d| load(&d));
    cached(&STRUCTURES, version, name, load)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn load(definition: &Value) -> Structure {
    let elements = list(&definition["snapshot"]["element"]);
    let (first, rest) = elements.split_first().expect("a snapshot");
    let mut root = element(first);
    for described in rest {
        let id = text(&described["id"]);
        let mut parts: Vec<&str> = id.split('.').skip(1).collect();
        let last = parts.pop().unwrap();
        let parent =
            parts.iter().fold(&mut root, |at, part| place(at, part).unwrap_or_else(|| panic!("{id}")));
        let (name, slice) = split(last);
        match slice {
            None => parent.children.push(element(described)),
            Some(_) => {
                let sliced = parent.children.iter_mut().find(|c| c.name == name);
                let mut slice = element(described);
                slice.name = last.to_owned();
                sliced.unwrap_or_else(|| panic!("{id}")).slices.push(slice);
            }
        }
    }
    let kind = match definition["kind"].as_str() {
        Some("primitive-type") => Kind::Primitive(format(elements)),
        Some("resource") => Kind::Resource,
        _ => Kind::Complex,
    };
    Structure { base: text(&definition["type"]), kind, root }
}

/// `value[x]:valueQuantity` to `value` and `valueQuantity`.
fn split(part: &str) -> (&str, Option<&str>) {
    let (name, slice) = part.split_once(':').map_or((part, None), |(name, slice)| (name, Some(slice)));
    (name.strip_suffix("[x]").unwrap_or(name), slice)
}

fn place<'a>(parent: &'a mut Element, part: &str) -> Option<&'a mut Element> {
    let (name, slice) = split(part);
    let child = parent.children.iter_mut().find(|c| c.name == name)?;
    match slice {
        None => Some(child),
        Some(_) => child.slices.iter_mut().find(|s| s.name == part),
    }
}

fn element(described: &Value) -> Element {
    let path = text(&described["path"]);
    let last = path.rsplit('.').next().unwrap_or(&path);
    let member = |prefix: &str| {
        let named = |name: &str| name.strip_prefix(prefix).is_some_and(|r| r.starts_with(char::is_uppercase));
        described.as_object()?.iter().find(|(name, _)| named(name)).map(|(_, value)| value.clone())
    };
    let binding = &described["binding"];
    let errors = list(&described["constraint"]).iter().filter(|c| c["severity"] == "error");
    let discriminators = list(&described["slicing"]["discriminator"]);
    Element {
        name: last.strip_suffix("[x]").unwrap_or(last).to_owned(),
        choice: last.ends_with("[x]"),
        min: described["min"].as_u64().and_then(|n| n.try_into().ok()).expect("min"),
        max: match text(&described["max"]).as_str() {
            "*" => None,
            number => Some(number.parse().expect("max")),
        },
        list: !["0", "1"].contains(&text(&described["base"]["max"]).as_str()),
        types: list(&described["type"]).iter().map(type_of).collect(),
        fixed: member("fixed"),
        pattern: member("pattern"),
        binding: (binding["strength"] == "required").then(|| text(&binding["valueSet"])),
        content: described["contentReference"].as_str().map(|c| c.rsplit('#').next().unwrap_or(c).to_owned()),
        invariants: errors.map(|c| text(&c["key"])).collect(),
        discriminators: discriminators.iter().map(|d| (text(&d["type"]), text(&d["path"]))).collect(),
        closed: described["slicing"]["rules"] == "closed",
        ..Element::default()
    }
}

fn type_of(described: &Value) -> Type {
    // Ids and the URLs of extensions have a type of FHIRPath, and say in an extension which of FHIR's that is.
    let named = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
    let own = list(&described["extension"]).iter().find(|e| e["url"] == named);
    Type {
        code: text(own.map_or(&described["code"], |e| &e["valueUrl"])),
        profiles: list(&described["profile"]).iter().map(text).collect(),
        targets: list(&described["targetProfile"]).iter().map(text).collect(),
    }
}

/// Whether the text is the name of a resource type.
pub(crate) fn is_resource(version: FhirVersion, name: &str) -> bool {
    value_set(version, "http://hl7.org/fhir/ValueSet/resource-types").has(None, name)
}

impl Type {
    /// Whether a reference of this type may point to a resource of the type `name`.
    pub(crate) fn may_point_to(&self, version: FhirVersion, name: &str) -> bool {
        let fits = |url: &String| match name_of(url) {
            "Resource" => true,
            target if is_resource(version, target) => target == name,
            // A profile stands for the type that it is about.
            _ => structure(version, url).is_some_and(|s| s.base == name),
        };
        self.targets.is_empty() || self.targets.iter().any(fits)
    }
}

/// The format of a primitive type's text.
fn format(elements: &[Value]) -> Option<Regex> {
    let value = elements.iter().find(|e| text(&e["path"]).ends_with(".value"))?;
    let extensions = list(&value["type"][0]["extension"]);
    let regex = extensions.iter().find(|e| e["url"] == "http://hl7.org/fhir/StructureDefinition/regex")?;
    // The expression of `decimal` has a brace too many, so that it matches no exponent.
    let regex = text(&regex["valueString"]).replace("{1,9}})?", "{1,9})?");
    Some(Regex::new(&format!("^(?:{regex})$")).unwrap())
}

/// The codes of a value set.
#[derive(Default)]
pub(crate) struct ValueSet {
    /// System and code.
    codes: HashSet<(String, String)>,
    /// Systems of which it has every code, and that are no lists.
    grammars: Vec<String>,
}

/// The value set of a URL, with or without version.
pub(crate) fn value_set(version: FhirVersion, url: &str) -> &'static ValueSet {
    let name = name_of(url);
    let set = cached(&VALUE_SETS, version, name, || {
        let definition = core(version, &format!("ValueSet-{name}.json"))?;
        let mut set = ValueSet::default();
        assert!(definition["compose"]["exclude"].is_null(), "{url}: exclude");
        for include in list(&definition["compose"]["include"]) {
            assert!(include["filter"].is_null() && include["valueSet"].is_null(), "{url}: filter");
            let system = text(&include["system"]);
            let listed = list(&include["concept"]);
            if !listed.is_empty() {
                set.codes.extend(listed.iter().map(|c| (system.clone(), text(&c["code"]))));
            } else if GRAMMARS.iter().any(|(s, _)| *s == system) {
                set.grammars.push(system);
            } else {
                let codes = core(version, &format!("CodeSystem-{}.json", name_of(&system)));
                let codes = codes.filter(|c| c["url"] == system && c["content"] == "complete");
                concepts(
                    &codes.unwrap_or_else(|| panic!("{url}: {system}"))["concept"],
                    &system,
                    &mut set.codes,
                );
            }
        }
        Some(set)
    });
    set.unwrap_or_else(|| panic!("{url} is not in the package"))
}

fn concepts(from: &Value, system: &str, to: &mut HashSet<(String, String)>) {
    for concept in list(from) {
        to.insert((system.to_owned(), text(&concept["code"])));
        concepts(&concept["concept"], system, to);
    }
}

/// Whether a text is a code of a system that is no list.
type Grammar = fn(&str) -> bool;

/// Systems whose codes follow from a grammar. Languages, media types and currencies are only looked at roughly.
const GRAMMARS: &[(&str, Grammar)] = &[
    ("http://unitsofmeasure.org", |code| ucum::validate(code).is_ok()),
    ("urn:ietf:bcp:47", |code| code.split('-').all(|p| (1..=8).contains(&p.len()) && p.is_ascii())),
    ("urn:ietf:bcp:13", |code| code.split('/').filter(|p| !p.is_empty()).count() == 2),
    ("urn:iso:std:iso:4217", |code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())),
];

impl ValueSet {
    /// Whether it is of units of UCUM only.
    pub(crate) fn is_of_units(&self) -> bool {
        !self.codes.is_empty() && self.codes.iter().all(|(system, _)| system == "http://unitsofmeasure.org")
    }

    /// Its codes, in order.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let mut codes: Vec<&str> = self.codes.iter().map(|(_, code)| code.as_str()).collect();
        codes.sort_unstable();
        codes
    }

    /// Whether a code is in it; an element of type `code` has no system.
    pub(crate) fn has(&self, system: Option<&str>, code: &str) -> bool {
        let listed = match system {
            Some(system) => self.codes.contains(&(system.to_owned(), code.to_owned())),
            None => self.codes.iter().any(|(_, c)| c == code),
        };
        let grammar = |name: &String| {
            let grammar = GRAMMARS.iter().find(|(s, _)| s == name).map(|(_, g)| g);
            system.is_none_or(|s| s == name) && grammar.is_some_and(|g| g(code))
        };
        listed || self.grammars.iter().any(grammar)
    }
}
