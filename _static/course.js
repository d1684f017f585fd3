/* Loaded on each page of the book; asks no other host for anything. */
(function () {
  "use strict";

  // Search excerpts are fetched, which a page opened as a file may not do.
  if (typeof DOCUMENTATION_OPTIONS !== "undefined" && location.protocol === "file:") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  // A wide table or formula scrolls inside its own box, not with the page.
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("article.bd-article table").forEach(function (table) {
      if (table.closest(".scrolls") || table.closest(".cell_output")) return;
      const box = document.createElement("div");
      box.className = "scrolls";
      table.replaceWith(box);
      box.appendChild(table);
    });
  });
})();
