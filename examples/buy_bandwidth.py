"""Where money helps: the same run on wafers with more of one resource, planned anew for each."""

import waferloom as wl
from waferloom.hardware import Resource, scaled

job = wl.Training(wl.model("llama3-70b"), global_batch_size=128, seq_len=4096)
wafer = wl.system("temp-6x8")
base_s = wl.plan(job, wafer).report.step_s

print(f"{'as it is':20} {base_s:6.2f} s")
for resource in Resource:
    factor = 0.5 if resource is Resource.LINK_LATENCY else 2.0
    step_s = wl.plan(job, scaled(wafer, resource, factor)).report.step_s
    print(f"{resource:14} x{factor:<4g} {step_s:6.2f} s  {base_s / step_s:5.2f} times as fast")
