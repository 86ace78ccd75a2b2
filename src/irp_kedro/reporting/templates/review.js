// Decisions on images, kept in the page and saved as review.csv. Nothing is sent anywhere.
(() => {
  const form = document.getElementById("reviewer");
  if (!form) return;
  const page = JSON.parse(document.getElementById("review-state").textContent);
  const who = document.getElementById("who");
  const count = document.getElementById("review-count");
  const key = "irp-kedro review " + page.cell;
  const columns = ["image_id", "digest", "decision", "who", "when"];
  let decided = new Map(page.earlier.map((row) => [row.digest, row]));

  // A page opened again goes on where it was left, where the browser keeps anything for a file.
  try {
    const kept = JSON.parse(localStorage.getItem(key) || "null");
    if (kept) { decided = new Map(kept.rows.map((row) => [row.digest, row])); who.value = kept.who; }
  } catch (error) { /* a browser that keeps nothing loses nothing else */ }

  function show() {
    for (const input of document.querySelectorAll("fieldset.review input")) {
      const row = decided.get(input.closest("fieldset").dataset.digest);
      input.checked = Boolean(row) && row.decision === input.value;
    }
    const n = decided.size;
    count.textContent = n === 1 ? "1 image decided" : n + " images decided";
  }

  function keep() {
    show();
    try { localStorage.setItem(key, JSON.stringify({ who: who.value, rows: [...decided.values()] })); } catch (error) { /* as above */ }
  }

  document.addEventListener("change", (event) => {
    const fieldset = event.target.closest("fieldset.review");
    if (!fieldset) return;
    const { digest, image } = fieldset.dataset;
    decided.set(digest, { image_id: image, digest, decision: event.target.value, who: who.value.trim(), when: new Date().toISOString() });
    keep();
  });
  who.addEventListener("change", keep);
  document.getElementById("forget").addEventListener("click", () => {
    decided = new Map(page.earlier.map((row) => [row.digest, row]));
    keep();
  });

  const quoted = (text) => /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = who.value.trim();
    const rows = [...decided.values()].map((row) => ({ ...row, who: row.who || name }));
    const lines = [columns, ...rows.map((row) => columns.map((column) => quoted(String(row[column] ?? ""))))];
    const file = new Blob([lines.map((line) => line.join(",") + "\n").join("")], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "review.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  show();
})();
