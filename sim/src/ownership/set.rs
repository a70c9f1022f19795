//! Sets of fields: what a manager owns of an object.

use std::cmp::Ordering;

use super::element::Element;

/// A set of paths into an object, as `fieldsV1` states it.
///
/// Each level is sorted. A node is there because its own path is in the set (`member`), or some path below it,
/// or both; no node is there for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    pub(crate) element: Element<'a>,
    pub(crate) member: bool,
    pub(crate) children: FieldSet<'a>,
}

// === impl FieldSet ===

impl<'a> FieldSet<'a> {
    /// The set of these paths, each a list of the names of fields.
    pub fn of_fields(paths: &[&[&'a str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert_fields(path);
        }
        set
    }

    fn insert_fields(&mut self, path: &[&'a str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.entry(Element::Field(first));
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert_fields(rest);
        }
    }

    /// True if no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node of this element, which is made if it is not there.
    pub(crate) fn entry(&mut self, element: Element<'a>) -> &mut Node<'a> {
        let at = match self.nodes.last() {
            None => 0,
            Some(last) => match last.element.cmp(&element) {
                Ordering::Less => self.nodes.len(),
                Ordering::Equal => self.nodes.len() - 1,
                Ordering::Greater => self.nodes.partition_point(|node| node.element < element),
            },
        };
        if self.nodes.get(at).is_none_or(|node| node.element != element) {
            self.nodes.insert(at, Node { element, member: false, children: FieldSet::default() });
        }
        #[expect(clippy::indexing_slicing, reason = "the line before made the node where there was none")]
        &mut self.nodes[at]
    }

    /// Adds a path of one step, with what is below it.
    pub(crate) fn add(&mut self, element: Element<'a>, member: bool, children: FieldSet<'a>) {
        if !member && children.is_empty() {
            return;
        }
        let node = self.entry(element);
        node.member |= member;
        if node.children.is_empty() {
            node.children = children;
        } else {
            let before = std::mem::take(&mut node.children);
            node.children = before.union(&children);
        }
    }

    pub(crate) fn get(&self, element: &Element<'_>) -> Option<&Node<'a>> {
        let at = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        self.nodes.get(at)
    }

    /// All paths that are in one set or the other.
    #[must_use]
    pub(crate) fn union(self, other: &FieldSet<'a>) -> Self {
        if other.is_empty() {
            return self;
        }
        if self.is_empty() {
            return other.clone();
        }
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        let mut theirs = other.nodes.iter().peekable();
        for mut node in self.nodes {
            while let Some(before) = theirs.next_if(|their| their.element < node.element) {
                nodes.push(before.clone());
            }
            if let Some(same) = theirs.next_if(|their| their.element == node.element) {
                node.member |= same.member;
                node.children = node.children.union(&same.children);
            }
            nodes.push(node);
        }
        nodes.extend(theirs.cloned());
        Self { nodes }
    }

    /// The paths that are in both sets.
    #[must_use]
    pub(crate) fn intersection(&self, other: &FieldSet<'_>) -> Self {
        let mut nodes = Vec::new();
        self.zip(other, |node, same| {
            let Some(same) = same else { return };
            let member = node.member && same.member;
            let children = node.children.intersection(&same.children);
            if member || !children.is_empty() {
                nodes.push(Node { element: node.element.clone(), member, children });
            }
        });
        Self { nodes }
    }

    /// The paths that are in this set and not in the other; what is below a path of the other stays.
    #[must_use]
    pub(crate) fn difference(self, other: &FieldSet<'_>) -> Self {
        self.without(other, false)
    }

    /// The paths that are in this set, and neither in the other nor below a path of it.
    #[must_use]
    pub(crate) fn recursive_difference(self, other: &FieldSet<'_>) -> Self {
        self.without(other, true)
    }

    fn without(mut self, other: &FieldSet<'_>, recursive: bool) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut theirs = other.nodes.iter().peekable();
        self.nodes.retain_mut(|node| {
            while theirs.next_if(|their| their.element < node.element).is_some() {}
            let Some(same) = theirs.next_if(|their| their.element == node.element) else { return true };
            if same.member {
                node.member = false;
                if recursive {
                    return false;
                }
            }
            node.children = std::mem::take(&mut node.children).without(&same.children, recursive);
            node.member || !node.children.is_empty()
        });
        self
    }

    /// True if every path of this set is in the other.
    pub(crate) fn is_subset(&self, other: &FieldSet<'_>) -> bool {
        let mut all = true;
        self.zip(other, |node, same| {
            all &= match same {
                Some(same) => (!node.member || same.member) && node.children.is_subset(&same.children),
                None => false,
            };
        });
        all
    }

    /// Calls with each node of this set and the node of the other set for the same element.
    fn zip<'s, 'o, 'b>(
        &'s self,
        other: &'o FieldSet<'b>,
        mut each: impl FnMut(&'s Node<'a>, Option<&'o Node<'b>>),
    ) {
        let mut theirs = other.nodes.iter().peekable();
        for node in &self.nodes {
            while theirs.next_if(|their| their.element < node.element).is_some() {}
            each(node, theirs.next_if(|their| their.element == node.element));
        }
    }

    /// The paths as text, in the order in which the API server lists them: the members of a level first.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect_paths("", &mut out);
        out
    }

    fn collect_paths(&self, prefix: &str, out: &mut Vec<String>) {
        out.extend(
            self.nodes.iter().filter(|node| node.member).map(|node| format!("{prefix}{}", node.element)),
        );
        for node in self.nodes.iter().filter(|node| !node.children.is_empty()) {
            node.children.collect_paths(&format!("{prefix}{}", node.element), out);
        }
    }
}
