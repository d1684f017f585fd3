/* Multiple-choice questions with instant feedback.

   Markup: <fieldset class="quiz" data-topic="…"> with a <legend>, one <label>
   with a radio button for each answer (data-right on the right one, data-why on
   the others) and a <details> with the explanation. Without this script the
   <details> still gives the answer. */
(function () {
  "use strict";

  function mark(question, choice) {
    const right = choice.hasAttribute("data-right");
    question.querySelectorAll("label").forEach(function (label) {
      label.classList.remove("right", "wrong");
    });
    choice.closest("label").classList.add(right ? "right" : "wrong");
    const feedback = question.querySelector(".feedback");
    const details = question.querySelector("details");
    const verdict = document.createElement("strong");
    verdict.textContent = right ? "✓ Right." : "✗ Not quite.";
    feedback.replaceChildren(verdict, right ? "" : choice.dataset.why || "");
    if (right) {
      const why = details.querySelector("p");
      why.childNodes.forEach(function (node) {
        // The answer itself, in <b>, is already marked in the list.
        if (node.nodeName !== "B") feedback.appendChild(node.cloneNode(true));
      });
    }
    if (!question.dataset.first) question.dataset.first = right ? "right" : "wrong";
  }

  function total(questions, line) {
    const tried = questions.filter((q) => q.dataset.first);
    const right = tried.filter((q) => q.dataset.first === "right");
    const weak = tried
      .filter((q) => q.dataset.first === "wrong")
      .map((q) => q.dataset.topic);
    let text = right.length + " of " + tried.length + " right at the first try";
    const left = questions.length - tried.length;
    if (left) text += "; " + left + " to go";
    text += ".";
    if (weak.length) text += " Worth another look: " + weak.join(", ") + ".";
    else if (!left) text += " You are ready for chapter 02.";
    line.textContent = text;
  }

  document.addEventListener("DOMContentLoaded", function () {
    const questions = Array.from(document.querySelectorAll("fieldset.quiz"));
    if (!questions.length) return;
    const line = document.createElement("p");
    line.className = "quiz-total";
    line.setAttribute("role", "status");
    line.textContent = "Nothing answered yet.";
    questions[questions.length - 1].after(line);
    questions.forEach(function (question) {
      const feedback = document.createElement("p");
      feedback.className = "feedback";
      feedback.setAttribute("role", "status");
      const details = question.querySelector("details");
      details.before(feedback);
      details.hidden = true;
      question.addEventListener("change", function (event) {
        if (!event.target.matches("input[type=radio]")) return;
        mark(question, event.target);
        total(questions, line);
      });
    });
  });
})();
