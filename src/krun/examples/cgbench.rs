use krun::cgroup::*;
fn main() {
    let r: oci_spec::runtime::LinuxResources =
        serde_json::from_str(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#).unwrap();
    let n: u32 = std::env::args().nth(1).map_or(1, |s| s.parse().unwrap());
    let mut t = [const { Vec::new() }; 5];
    for i in 0..n {
        let a = std::time::Instant::now();
        let l = locate(None, &format!("krun-bench-{i}"), Driver::Cgroupfs, false).unwrap();
        let b = std::time::Instant::now();
        let c = Cgroup::create(l, Some(&r)).unwrap();
        let d = std::time::Instant::now();
        c.apply(&r).unwrap();
        let e = std::time::Instant::now();
        c.delete().unwrap();
        let f = std::time::Instant::now();
        for (v, x) in t.iter_mut().zip([b - a, d - b, e - d, f - e, f - a]) {
            v.push(x.as_micros());
        }
    }
    for (v, name) in t.iter_mut().zip(["locate", "create", "apply", "delete", "total"]) {
        v.sort();
        println!("{name} min {} med {}", v[0], v[v.len() / 2]);
    }
}
