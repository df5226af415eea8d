//! Containers within containers, without recursion.

use super::{DEPTH_MAX, Flaw, Scanner, What};

/// Which containers are open, innermost in the lowest bit: a stack that cannot overflow.
struct Nest {
    open: u64,
    depth: u32,
    depth_outer: u32,
}

impl Nest {
    const ARRAY: u64 = 0;
    const OBJECT: u64 = 1;

    fn in_object(&self) -> bool {
        self.open & 1 == Nest::OBJECT
    }
}

impl Scanner<'_> {
    /// The scanner stands at the opening bracket and ends up behind the closing one.
    pub(super) fn container(&mut self, depth: u32) -> Result<(), Flaw> {
        let mut nest = Nest { open: 0, depth, depth_outer: depth };
        loop {
            let value_ends = match self.byte() {
                Some(b'{') => self.open(&mut nest, Nest::OBJECT, b'}')?,
                Some(b'[') => self.open(&mut nest, Nest::ARRAY, b']')?,
                _ => self.scalar().map(|_| true)?,
            };
            if value_ends && self.climb(&mut nest)? {
                return Ok(());
            }
            if nest.in_object() {
                self.key()?;
                self.space();
            }
        }
    }

    /// Steps into a container and says whether its closing bracket stands right here.
    fn open(&mut self, nest: &mut Nest, kind: u64, close: u8) -> Result<bool, Flaw> {
        if DEPTH_MAX <= nest.depth {
            return Err(self.flaw(What::TooDeep));
        }
        self.count()?;
        nest.open = nest.open << 1 | kind;
        nest.depth += 1;
        self.at += 1;
        self.space();
        Ok(self.byte() == Some(close))
    }

    /// From the end of a value to where the next one begins, out of every container that closes in between.
    /// Says whether the outermost was among them.
    fn climb(&mut self, nest: &mut Nest) -> Result<bool, Flaw> {
        while nest.depth_outer < nest.depth {
            self.space();
            match self.byte() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    return Ok(false);
                }
                Some(b'}') if nest.in_object() => self.at += 1,
                Some(b']') if !nest.in_object() => self.at += 1,
                Some(_) => return Err(self.flaw(if nest.in_object() { What::InObject } else { What::InArray })),
                None => return Err(self.flaw(What::End)),
            }
            nest.open >>= 1;
            nest.depth -= 1;
        }
        Ok(true)
    }
}
