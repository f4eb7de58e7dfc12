// Light or dark: as the system has it until somebody chooses; the choice stays in this browser.
const KEPT = "comask-theme";
const asked = new URL(window.location.href).searchParams.get("__theme");
const paint = (dark) => document.body.classList.toggle("dark", dark);
const kept = window.localStorage.getItem(KEPT);
if (kept && !asked) paint(kept === "dark");
element.querySelector("[data-testid=theme]").addEventListener("click", () => {
  const dark = !document.body.classList.contains("dark");
  paint(dark);
  window.localStorage.setItem(KEPT, dark ? "dark" : "light");
});
for (const link of element.querySelectorAll("[data-page]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab
    event.preventDefault();
    window.dispatchEvent(new CustomEvent("studio-page", { detail: link.dataset.page }));
  });
}
