//! What crosses the border to C: spans, owned buffers, statuses. No panic gets past `guarded`.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use crate::fault::{Fault, Kind};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Span {
    data: *const u8,
    size: usize,
}

#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct Numbers {
    data: *mut u32,
    size: usize,
}

/// Elements of the caller's.
/// # Safety
/// `data` points to `size` elements that live as long as the call, or `size` is 0.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if data.is_null() || size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

impl Span {
    /// # Safety
    /// As of `slice`.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        slice(self.data, self.size)
    }

    /// # Safety
    /// As of `slice`.
    pub unsafe fn text<'a>(self, what: &str) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()).map_err(|error| {
            Fault::argument(format!("{what} is not UTF-8 from byte {} on", error.valid_up_to()))
        })
    }
}

impl Bytes {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Bytes {
        let boxed = bytes.into().into_boxed_slice();
        Bytes { size: boxed.len(), data: Box::into_raw(boxed).cast() }
    }
}

impl Numbers {
    pub fn new(numbers: Vec<u32>) -> Numbers {
        let boxed = numbers.into_boxed_slice();
        Numbers { size: boxed.len(), data: Box::into_raw(boxed).cast() }
    }

    /// Starts and ends behind each other. Texts of 4 GB and more have no such numbers.
    pub fn of_ranges(ranges: &[(usize, usize)]) -> Result<Numbers, Fault> {
        let numbers = ranges.iter().flat_map(|&(start, end)| [start, end]).map(u32::try_from);
        let numbers: Result<Vec<u32>, _> = numbers.collect();
        numbers.map(Numbers::new).map_err(|_| Fault::argument("a text is longer than 4 GB"))
    }
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_free_bytes(bytes: Bytes) {
    if !bytes.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes.data, bytes.size)));
    }
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_free_numbers(numbers: Numbers) {
    if !numbers.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(numbers.data, numbers.size)));
    }
}

/// persistent: the numbers of mlxnx_text_status.
fn status_of(kind: Kind) -> i32 {
    match kind {
        Kind::Format => 1,
        Kind::Argument => 2,
        Kind::Unsupported => 3,
    }
}

/// Panics become errors, so that they need not be told on stderr too. The hook is that of this library's own copy of
/// Rust's runtime.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

fn fault_of(kind: Kind, panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Fault { kind, text: format!("it can't be worked with: {text}") }
}

/// `f`'s answer; a panic is a fault of the kind `of_panic`.
pub fn caught<T>(of_panic: Kind, f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    quiet();
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(fault_of(of_panic, &*panic)))
}

/// Runs `f` on a stack that is large enough for whatever a file's author nested, whatever the caller's own is.
pub fn on_large_stack<T: Send>(
    of_panic: Kind,
    f: impl FnOnce() -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    const STACK_BYTES: usize = 64 << 20;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        match builder.spawn_scoped(scope, || caught(of_panic, f)) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| Err(fault_of(of_panic, &*panic))),
            Err(error) => Err(Fault::argument(format!("no thread could be started: {error}"))),
        }
    })
}

/// Writes the error, if there is one, and answers the status.
/// # Safety
/// `error` may be written to, or is null.
pub unsafe fn status(result: Result<(), Fault>, error: *mut Bytes) -> i32 {
    match result {
        Ok(()) => 0,
        Err(fault) => {
            if !error.is_null() {
                error.write(Bytes::new(fault.text));
            }
            status_of(fault.kind)
        }
    }
}
