//! Which image comes next: those whose origin is there, the children of what was done last first, so that little is held
//! for those still to come.

use std::collections::{BTreeMap, BTreeSet};

use super::Planned;

/// The images of a run that are still to be done.
pub(super) struct Queue {
    ready: Vec<usize>,
    /// By origin.
    waiting: BTreeMap<String, Vec<usize>>,
    ids: Vec<String>,
    running: usize,
    is_closed: bool,
}

impl Queue {
    /// `todo` are places in `images`, in their order. An origin that is not among them is there already.
    pub(super) fn new(images: &[Planned], todo: &[usize]) -> Self {
        let ids: Vec<String> = images.iter().map(|image| image.id.clone()).collect();
        let mut queue =
            Self { ready: Vec::new(), waiting: BTreeMap::new(), ids, running: 0, is_closed: false };
        let all: BTreeSet<&str> = todo.iter().map(|at| images[*at].id.as_str()).collect();
        for at in todo.iter().rev() {
            match images[*at].origin.as_ref().filter(|origin| all.contains(origin.as_str())) {
                Some(origin) => queue.waiting.entry(origin.clone()).or_default().push(*at),
                None => queue.ready.push(*at),
            }
        }
        queue
    }

    /// The next one, if one is ready.
    pub(super) fn next(&mut self) -> Option<usize> {
        let next = self.ready.pop().filter(|_| !self.is_closed)?;
        self.running += 1;
        Some(next)
    }

    /// An image is there: those that build on it are ready.
    pub(super) fn done(&mut self, at: usize) {
        self.running -= 1;
        self.ready.extend(self.waiting.remove(&self.ids[at]).into_iter().flatten());
    }

    /// An image will not be there, nor will those that build on it, which are told, origins first.
    pub(super) fn failed(&mut self, at: usize) -> Vec<usize> {
        self.running -= 1;
        let mut doomed = Vec::new();
        let mut next = vec![at];
        while let Some(at) = next.pop() {
            let children = self.waiting.remove(&self.ids[at]).unwrap_or_default();
            doomed.extend(children.iter().rev());
            next.extend(children);
        }
        doomed
    }

    /// Nothing more is begun.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether there is nothing to be done any more, and nothing to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.running == 0 && (self.is_closed || self.ready.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::planned;
    use super::*;

    fn images() -> Vec<Planned> {
        let image = |id, origin| planned(id, origin);
        vec![
            image("a", None),
            image("b", Some("a")),
            image("c", Some("b")),
            image("d", Some("a")),
            image("e", None),
        ]
    }

    #[test]
    fn children_follow_their_origin_and_go_with_it() {
        let images = images();
        let mut queue = Queue::new(&images, &[0, 1, 2, 3, 4]);
        let first = queue.next().unwrap();
        assert_eq!((first, queue.next(), queue.next()), (0, Some(4), None));
        assert!(!queue.is_over());
        queue.done(0);
        assert_eq!(queue.next(), Some(1), "depth first");
        assert_eq!(queue.failed(1), [2]);
        assert_eq!(queue.next(), Some(3));
        queue.done(3);
        queue.done(4);
        assert!(queue.is_over() && queue.next().is_none());
    }

    #[test]
    fn origins_that_are_there_need_no_waiting() {
        let images = images();
        let mut queue = Queue::new(&images, &[2, 3]);
        assert_eq!((queue.next(), queue.next(), queue.next()), (Some(2), Some(3), None));
        queue.done(2);
        queue.close();
        assert!(!queue.is_over());
        queue.done(3);
        assert!(queue.is_over());
    }

    #[test]
    fn all_that_builds_on_a_failure_is_told() {
        let images = images();
        let mut queue = Queue::new(&images, &[0, 1, 2, 3]);
        let at = queue.next().unwrap();
        let mut doomed = queue.failed(at);
        doomed.sort_unstable();
        assert_eq!(doomed, [1, 2, 3]);
        assert!(queue.is_over());
    }
}
