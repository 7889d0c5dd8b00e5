"""How a wafer degrades: kill dies at random, plan again, and compare with what was lost."""

import waferloom as wl
from waferloom.hardware import random_defects

job = wl.Training(wl.model("llama3-8b"), global_batch_size=96, seq_len=4096)
wafer = wl.system("temp-6x8")
healthy_s = wl.plan(job, wafer).report.step_s

print("dead dies  tokens/s kept  dies kept  best plan")
for num_dead in (0, 1, 2, 4, 8):
    defects = random_defects(wafer, num_dies=num_dead, num_links=0, seed=7)
    damaged = wl.with_defects(wafer, defects)
    solution = wl.plan(job, damaged)
    kept = healthy_s / solution.report.step_s
    dies = damaged.num_live_dies / wafer.num_dies
    print(f"{num_dead:9}  {kept:13.1%}  {dies:9.1%}  {solution.plan.strategy}")
