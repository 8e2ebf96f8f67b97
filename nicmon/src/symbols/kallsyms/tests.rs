//! Files as kernels write them, and this one's.

use super::*;

fn read(text: &str) -> Result<Kallsyms, KallsymsError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kallsyms"), text).unwrap();
    Kallsyms::read(folder.path())
}

fn name_at(index: &Kallsyms, address: u64) -> Option<&str> {
    index.function_at(address).map(|function| function.name)
}

#[test]
fn an_address_is_in_the_function_before_it() {
    let index = read(
        "ffffffff81000100 t veth_xmit\nffffffff81000000 T __pfx_veth_poll\nffffffff81000010 t veth_poll\n\
         ffffffff81000200 D veth_ops\nffffffffc0000000 t cp_rx_poll\t[8139cp]\n",
    )
    .unwrap();
    assert_eq!(name_at(&index, 0xffff_ffff_8100_0010), Some("veth_poll"));
    assert_eq!(name_at(&index, 0xffff_ffff_8100_00ff), Some("veth_poll"));
    assert_eq!(name_at(&index, 0xffff_ffff_8100_0123), Some("veth_xmit"));
    assert_eq!(
        index.function_at(0xffff_ffff_c000_0001),
        Some(Function {
            name: "cp_rx_poll",
            module: Some("8139cp"),
            start: 0xffff_ffff_c000_0000,
            end: 0xffff_ffff_c001_0000
        })
    );
    assert_eq!(name_at(&index, 0xffff_ffff_9000_0000), None, "far beyond any function");
    assert_eq!(name_at(&index, 1), None);
    assert_eq!(name_at(&index, u64::MAX), None);
}

/// As Clang builds kernels for x86 with kCFI: a symbol before each function, also in modules and for
/// aliases.
const KCFI: &str = "ffffffff81000000 t __cfi_veth_open\nffffffff81000010 t veth_open\n\
    ffffffff81000090 T __cfi_veth_poll\nffffffff810000a0 t veth_poll\n\
    ffffffff81000100 t __cfi_aligned\nffffffff81000140 t aligned\n\
    ffffffff81000200 T __cfi_slowpath\nffffffff81000280 T strange\n\
    ffffffffc0000000 t __cfi_init_module\t[foo]\nffffffffc0000000 t __cfi_foo_init\t[foo]\n\
    ffffffffc0000010 t init_module\t[foo]\nffffffffc0000010 t foo_init\t[foo]\n\
    ffffffffc0000100 t __cfi_foo_poll\t[foo]\nffffffffc0000110 t foo_poll\t[foo]\n";

#[test]
fn the_preamble_of_a_function_is_no_function() {
    let index = read(KCFI).unwrap();
    let names: Vec<&str> = index.functions().map(|function| function.name).collect();
    let expected = [
        "veth_open",
        "veth_poll",
        "aligned",
        "__cfi_slowpath",
        "strange",
        "init_module",
        "foo_init",
        "foo_poll",
    ];
    assert_eq!(names, expected);
    let open = index.function_at(0xffff_ffff_8100_0010).unwrap();
    assert_eq!(open.end, 0xffff_ffff_8100_00a0, "it ends where the next one starts");
    assert_eq!(name_at(&index, 0xffff_ffff_8100_0210), Some("__cfi_slowpath"), "of an older kernel");
    assert_eq!(index.address_of("__cfi_veth_poll"), None);
}

#[test]
fn the_entry_of_a_jump_table_leads_to_its_function() {
    let index = read(
        "ffffffff81000000 t veth_poll.cfi_jt\nffffffff81000008 t veth_open.cfi_jt\n\
         ffffffff81000100 t veth_open\nffffffff81000200 t veth_poll\n\
         ffffffffc0000000 t foo_poll.cfi_jt\t[foo]\nffffffffc0000100 t foo_poll\t[foo]\n",
    )
    .unwrap();
    let check = |index: &Kallsyms| {
        assert_eq!(name_at(index, 0xffff_ffff_8100_0000), Some("veth_poll"));
        assert_eq!(index.target_of(0xffff_ffff_8100_0000), 0xffff_ffff_8100_0200);
        assert_eq!(index.target_of(0xffff_ffff_c000_0000), 0xffff_ffff_c000_0100);
        assert_eq!(index.target_of(0xffff_ffff_8100_0210), 0xffff_ffff_8100_0210);
    };
    check(&index);
    assert_eq!(index.len(), 3);
    let saved =
        serde_json::to_string(&index.only([0xffff_ffff_8100_0000, 0xffff_ffff_c000_0000].into_iter()))
            .unwrap();
    check(&serde_json::from_str(&saved).unwrap());
}

#[test]
fn the_first_of_several_names_is_used_and_all_are_found() {
    let index =
        read("ffffffff81000000 T _text\nffffffff81000000 T _stext\nffffffff81000040 T startup\n").unwrap();
    let first = index.function_at(0xffff_ffff_8100_0001).unwrap();
    assert_eq!((first.name, first.end), ("_text", 0xffff_ffff_8100_0040));
    assert_eq!(index.address_of("_stext"), Some(0xffff_ffff_8100_0000));
    assert_eq!(index.address_of("nothing"), None);
}

#[test]
fn functions_of_one_name_in_two_modules_are_distinguished() {
    let index = read(
        "ffffffffc0000000 t e1000_clean\t[e1000]\nffffffffc0000100 t e1000_up\t[e1000]\n\
         ffffffffc0100000 t e1000_clean\t[e1000e]\nffffffffc0200000 t bpf_prog_1_x\t[bpf]\n",
    )
    .unwrap();
    let module = |address| index.function_at(address).and_then(|function| function.module);
    assert_eq!(module(0xffff_ffff_c000_0050), Some("e1000"));
    assert_eq!(module(0xffff_ffff_c010_0050), Some("e1000e"));
    assert_eq!(module(0xffff_ffff_c020_0050), Some("bpf"));
    assert_eq!(module(0xffff_ffff_c008_0000), None, "between two modules");
}

#[test]
fn hidden_addresses_are_an_error() {
    assert!(matches!(read("0000000000000000 T veth_poll\n"), Err(KallsymsError::Hidden)));
    assert!(matches!(read(""), Err(KallsymsError::Hidden)));
}

#[test]
fn the_index_of_this_machine_is_small_and_quick() {
    let start = std::time::Instant::now();
    let index = match Kallsyms::read(Path::new("/proc")) {
        Ok(index) => index,
        Err(error) => return testkit::not_run::say_of_this_thread(&error.to_string()),
    };
    let took = start.elapsed();
    eprintln!("{} functions, {} bytes, {took:?}", index.len(), index.bytes());
    // Per function, so that the limit holds for any kernel: 10 MB for 120,000.
    assert!(index.bytes() < index.len() * 83, "{} bytes", index.bytes());
    // An unoptimised build on a busy machine takes many times as long as a released one.
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn anything_is_read_without_a_panic() {
    let real = b"ffffffff81000000 T _text\nffffffff81000010 t veth_poll\t[veth]\n\
                 ffffffff81000010 t veth_xmit.cold\t[veth]\n0000000000000000 A fixed\n";
    testkit::fuzz::inputs("kallsyms", &[real], |text| {
        let Ok(all) = Kallsyms::parse(text) else { return };
        for address in [0, 1, 0xffff_ffff_8100_0000, 0xffff_ffff_8100_0011, u64::MAX] {
            let _ = all.function_at(address);
        }
        let _ = all.address_of("veth_poll");
    });
}
