//! Plain structures in a flat memory: how a plan lies in its memfd.

use core::ffi::CStr;
use core::marker::PhantomData;

/// Types that are valid for every bit pattern and have no padding.
///
/// # Safety
/// Only `plain!` and this module implement it; the macro proves the absence of
/// padding at compile time.
pub unsafe trait Plain: Copy + 'static {}

// SAFETY: integers have no padding and no invalid bit pattern.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: an array of plain values is plain.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Declares `#[repr(C)]` structures of plain fields and proves that they have
/// no padding.
#[macro_export]
macro_rules! plain {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $ty:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),* }

        const _: () = assert!(
            ::core::mem::size_of::<$name>() == 0 $(+ ::core::mem::size_of::<$ty>())*,
            "padding in a plain structure",
        );
        const _: () = {
            const fn plain<T: $crate::plain::Plain>() {}
            $(plain::<$ty>();)*
        };
        // SAFETY: all fields are plain and there is no padding, as asserted above.
        unsafe impl $crate::plain::Plain for $name {}
        impl Default for $name {
            fn default() -> Self { $crate::plain::zeroed() }
        }
    )*};
}

/// A value of all zero bits.
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: every bit pattern is a valid value of a plain type.
    unsafe { core::mem::zeroed() }
}

/// The bytes of a plain value.
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: no padding, so all bytes are initialised; the borrow keeps them alive.
    unsafe { core::slice::from_raw_parts((value as *const T).cast(), size_of::<T>()) }
}

/// The bytes of a plain value, to be filled.
pub fn bytes_of_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: as in `bytes_of`, and every bit pattern is valid.
    unsafe { core::slice::from_raw_parts_mut((value as *mut T).cast(), size_of::<T>()) }
}

/// `len` elements of `T`, `off` bytes from the start of an [`Arena`].
#[repr(C)]
pub struct Slice<T> {
    /// Offset in bytes.
    pub off: u32,
    /// Number of elements.
    pub len: u32,
    kind: PhantomData<T>,
}

impl<T> Clone for Slice<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Slice<T> {}
impl<T> PartialEq for Slice<T> {
    fn eq(&self, other: &Self) -> bool {
        self.off == other.off && self.len == other.len
    }
}
impl<T> core::fmt::Debug for Slice<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}+{}", self.off, self.len)
    }
}
// SAFETY: two u32 and a zero-sized marker.
unsafe impl<T: 'static> Plain for Slice<T> {}

impl<T> Slice<T> {
    /// `len` elements at byte `off`.
    pub const fn new(off: u32, len: u32) -> Self {
        Slice { off, len, kind: PhantomData }
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A string of an [`Arena`], followed there by a NUL that `len` does not count.
/// The default (offset 0) means that there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Str {
    /// Offset in bytes; 0 means that there is no string.
    pub off: u32,
    /// Length in bytes without the NUL.
    pub len: u32,
}
// SAFETY: two u32.
unsafe impl Plain for Str {}

impl Str {
    /// Whether a string is there (it may be empty).
    pub const fn is_some(&self) -> bool {
        self.off != 0
    }
}

/// A read-only flat memory in which slices and strings are found by offset.
///
/// Every access is checked; one out of range panics: the memory was made by
/// krun itself, and to go on without a part of a plan would be worse.
#[derive(Clone, Copy, Debug)]
pub struct Arena<'a> {
    bytes: &'a [u8],
}

impl<'a> Arena<'a> {
    /// An arena over `bytes`, which are aligned to 8.
    pub fn new(bytes: &'a [u8]) -> Self {
        assert!((bytes.as_ptr() as usize).is_multiple_of(8));
        Arena { bytes }
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements of a slice.
    pub fn slice<T: Plain>(&self, s: Slice<T>) -> &'a [T] {
        let (off, len) = (s.off as usize, s.len as usize);
        let bytes = &self.bytes[off..off + len * size_of::<T>()];
        assert!((bytes.as_ptr() as usize).is_multiple_of(align_of::<T>()));
        // SAFETY: in bounds and aligned as checked above; `T` is plain.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), len) }
    }

    /// The value at byte `off`.
    pub fn value<T: Plain>(&self, off: u32) -> &'a T {
        &self.slice(Slice::<T>::new(off, 1))[0]
    }

    /// A string; the empty one when there is none.
    pub fn cstr(&self, s: Str) -> &'a CStr {
        if s.off == 0 {
            return c"";
        }
        let (off, len) = (s.off as usize, s.len as usize);
        let text = CStr::from_bytes_with_nul(&self.bytes[off..off + len + 1]);
        assert!(text.is_ok(), "string of the plan has no end");
        text.unwrap_or(c"")
    }
}

/// The bytes of a slice of plain values.
pub fn bytes_of_slice<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: no padding, so all bytes are initialised; the borrow keeps them alive.
    unsafe { core::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}
