//! Which stage of the network stack a function belongs to.

mod table;

use self::table::{MODULES, NAMES, NETWORK_MODULES, NETWORK_NAMES};
use super::Function;
use crate::frame::Stage;

/// The stage of a function outside the NIC drivers: by its module, then by its name. [`Stage::Other`] if
/// neither table has it.
///
/// [`Stage::Driver`] depends on the NIC, so the caller must check for it first.
pub fn stage_of(function: &Function<'_>) -> Stage {
    if let Some(module) = function.module
        && let Some((_, stage)) = MODULES.iter().find(|(pattern, _)| matches(pattern, module))
    {
        return *stage;
    }
    // The compiler's suffixes: `.cold`, `.isra.0`, `.constprop.0`.
    let name = function.name.split('.').next().unwrap_or(function.name);
    NAMES.iter().find(|(pattern, _)| matches(pattern, name)).map_or(Stage::Other, |(_, stage)| *stage)
}

/// Whether a function certainly works for the network: by its stage, by its module, or as a part of the
/// network core. Memory is allocated, and BPF programs run, for others as well.
pub fn is_network(function: &Function<'_>) -> bool {
    let is_any = |patterns: &[&str], name: &str| patterns.iter().any(|pattern| matches(pattern, name));
    let name = function.name.split('.').next().unwrap_or(function.name);
    match stage_of(function) {
        Stage::Driver
        | Stage::Gro
        | Stage::Tap
        | Stage::Netfilter
        | Stage::Conntrack
        | Stage::Bridge
        | Stage::Ip
        | Stage::Tcp
        | Stage::Udp => true,
        Stage::Alloc | Stage::Bpf | Stage::Other => {
            function.module.is_some_and(|module| is_any(NETWORK_MODULES, module))
                || is_any(NETWORK_NAMES, name)
                || name.contains("skb")
        }
    }
}

/// Whether a name matches a pattern. The pattern's one `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, module: Option<&str>) -> Stage {
        stage_of(&Function { name, module, start: 1, end: 2 })
    }

    /// Functions in which receiving and sending spend time, as Linux 5.10 to 6.18 call them, with their
    /// stages.
    const KNOWN: &[(&str, Stage)] = &[
        ("__netif_receive_skb_core.constprop.0", Stage::Other),
        ("netif_receive_skb_list_internal", Stage::Other),
        ("process_backlog", Stage::Other),
        ("napi_complete_done", Stage::Other),
        ("__dev_queue_xmit", Stage::Other),
        ("eth_type_trans", Stage::Other),
        ("rep_movs_alternative", Stage::Other),
        ("copy_user_enhanced_fast_string", Stage::Other),
        ("_copy_to_iter", Stage::Other),
        ("skb_copy_datagram_iter", Stage::Other),
        ("__raw_spin_lock", Stage::Other),
        ("rt_mutex_lock", Stage::Other),
        ("csum_partial", Stage::Other),
        ("kmem_cache_free", Stage::Alloc),
        ("kmem_cache_alloc_node_noprof", Stage::Alloc),
        ("skb_release_data", Stage::Alloc),
        ("__alloc_skb", Stage::Alloc),
        ("__slab_free", Stage::Alloc),
        ("___slab_alloc", Stage::Alloc),
        ("get_page_from_freelist", Stage::Alloc),
        ("page_pool_put_unrefed_netmem", Stage::Alloc),
        ("napi_consume_skb", Stage::Alloc),
        ("consume_skb", Stage::Alloc),
        ("sk_skb_reason_drop", Stage::Alloc),
        ("bpf_prog_run_generic_xdp", Stage::Bpf),
        ("cls_bpf_classify", Stage::Bpf),
        ("xdp_do_redirect", Stage::Bpf),
        ("__htab_map_lookup_elem", Stage::Bpf),
        ("sk_filter_trim_cap", Stage::Bpf),
        ("__cgroup_bpf_run_filter_skb", Stage::Bpf),
        ("napi_gro_receive", Stage::Gro),
        ("gro_receive_skb", Stage::Gro),
        ("dev_gro_receive", Stage::Gro),
        ("tcp4_gro_receive", Stage::Gro),
        ("inet_gro_complete", Stage::Gro),
        ("__gro_flush", Stage::Gro),
        ("packet_rcv", Stage::Tap),
        ("tpacket_rcv", Stage::Tap),
        ("dev_queue_xmit_nit", Stage::Tap),
        ("packet_rcv_fanout", Stage::Tap),
        ("prb_fill_curr_block", Stage::Tap),
        ("prb_read_valid", Stage::Other),
        ("ipt_do_table", Stage::Netfilter),
        ("nf_hook_slow", Stage::Netfilter),
        ("nft_do_chain", Stage::Netfilter),
        ("tcp_mt", Stage::Netfilter),
        ("conntrack_mt_v3", Stage::Netfilter),
        ("ip_set_test", Stage::Netfilter),
        ("br_nf_pre_routing", Stage::Netfilter),
        ("nf_nat_ipv4_fn", Stage::Netfilter),
        ("ip_vs_in", Stage::Netfilter),
        ("nf_conntrack_in", Stage::Conntrack),
        ("__nf_conntrack_find_get", Stage::Conntrack),
        ("nf_ct_get_tuple", Stage::Conntrack),
        ("hash_conntrack_raw", Stage::Conntrack),
        ("br_handle_frame", Stage::Bridge),
        ("__br_forward", Stage::Bridge),
        ("ip_rcv", Stage::Ip),
        ("ip6_input", Stage::Ip),
        ("fib_table_lookup", Stage::Ip),
        ("ip_route_input_noref", Stage::Ip),
        ("neigh_resolve_output", Stage::Ip),
        ("__ip_queue_xmit", Stage::Ip),
        ("tcp_v4_rcv", Stage::Tcp),
        ("__tcp_transmit_skb", Stage::Tcp),
        ("__inet_lookup_established", Stage::Tcp),
        ("cubictcp_cong_avoid", Stage::Tcp),
        ("udp_rcv", Stage::Udp),
        ("__udp4_lib_rcv", Stage::Udp),
        ("udpv6_queue_rcv_one_skb", Stage::Udp),
    ];

    #[test]
    fn known_functions_are_in_their_stages() {
        for (name, expected) in KNOWN {
            assert_eq!(stage(name, None), *expected, "{name}");
        }
    }

    #[test]
    fn the_module_takes_precedence_over_the_name() {
        assert_eq!(stage("bpf_prog_6deef7357e7b4530_ip_rcv", Some("bpf")), Stage::Bpf);
        assert_eq!(stage("tcp_packet", Some("nf_conntrack")), Stage::Conntrack);
        assert_eq!(stage("hash_net4_kadt", Some("ip_set_hash_net")), Stage::Netfilter);
        assert_eq!(stage("should_deliver", Some("bridge")), Stage::Bridge);
        assert_eq!(stage("run_filter", Some("af_packet")), Stage::Tap);
        assert_eq!(stage("igb_poll", Some("igb")), Stage::Other);
    }

    #[test]
    fn no_pattern_hides_behind_another() {
        for (at, (pattern, stage)) in NAMES.iter().enumerate() {
            // A name that matches the pattern and should reach it.
            let name = pattern.replace('*', "");
            let reached = NAMES.iter().find(|(earlier, _)| matches(earlier, &name)).unwrap();
            assert!(reached.1 == *stage, "{pattern}, number {at}, is hidden behind {}", reached.0);
        }
    }
}
