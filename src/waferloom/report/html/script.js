"use strict";
document.documentElement.classList.add("js");

for (const figure of document.querySelectorAll(".map")) {
  const buttons = figure.querySelectorAll("button[data-show]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      figure.dataset.view = button.dataset.show;
      for (const other of buttons) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    });
  }
}

for (const button of document.querySelectorAll("button[data-save]")) {
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.save).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
