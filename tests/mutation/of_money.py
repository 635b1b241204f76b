"""What keeps a language model's bill right, and its silence from ending a run."""

TABLE, BILL, WIRE = (
    "runner/llm/prices.py",
    "runner/llm/usage.py",
    "runner/llm/transport.py",
)
CALLS, CLIENT, LLM = (
    "runner/llm/metered_client.py",
    "runner/llm/litellm_client.py",
    "runner/llm/llm_proposer.py",
)
T_PRICES, T_BILL = "tests/llm/test_prices.py::", "tests/llm/test_usage.py::"
T_WIRE, T_RESEARCHER = "tests/llm/test_transport.py::", "tests/llm/test_llm_proposer.py::"
T_SESSION, T_REFUSALS = "tests/search/test_session.py::", "tests/llm/test_request_fixes.py::"
UNCERTAIN = T_PRICES + "test_what_the_table_does_not_say_for_certain_is_no_price"
ROWS = [
    ("only that model's provider", TABLE, "if owner == provider or", "if True or", UNCERTAIN),
    ("zero is no price", TABLE, "if read <= 0 or write <= 0:", "if False:", T_PRICES + "test_no_model_is_priced_like_its_family_nor_at_zero"),
    ("the dearest tier is reserved", "runner/llm/prices.py", "dearer += [] if self.priority is None else [self.priority]", "pass", T_PRICES + "test_the_reservation_is_for_the_dearest_tier_and_the_bill_for_the_one_that_was_used"),
    ("a long prompt has its tier", "runner/llm/prices.py", "for threshold, price in self.above if usage.prompt > threshold", "for threshold, price in self.above if False", T_PRICES + "test_the_reservation_is_for_the_dearest_tier_and_the_bill_for_the_one_that_was_used"),
    ("thinking beside the completion", BILL, "readings = [completion, total - prompt]", "readings = [completion]", T_BILL + "test_thinking_is_billed_wherever_it_is_listed"),
    ("thinking that the total forgets", BILL, "readings.append(separate)", "pass", T_BILL + "test_thinking_is_billed_wherever_it_is_listed"),
    ("cached tokens beside the prompt", BILL, "if cached + written > prompt:", "if False:", T_BILL + "test_cached_tokens_beside_the_prompt_are_billed_too"),
    ("a count that is none", BILL, "type(value) is int and 0 <= value <= _MOST_TOKENS", "True", T_BILL + "test_a_count_that_is_none_makes_the_whole_bill_unknown"),
    ("an estimate is no count", CLIENT, "if said else None", "if True else None", T_WIRE + "test_a_streamed_answer_is_put_together_and_its_count_is_the_providers"),
    ("a byte a token", "runner/llm/messages.py", "len(m.text.encode(errors=\"replace\"))", "len(m.text.split())", T_RESEARCHER + "test_what_is_reserved_is_more_than_what_any_tokenizer_counts"),
    ("sent is what was written", WIRE, "            self._sent = self._sent or name.endswith(body)", "            pass", T_WIRE + "test_what_was_sent_and_not_answered_may_cost"),
    ("a tunnel is not the request", WIRE, "or info[\"request\"].method == b\"CONNECT\"", "", T_WIRE + "test_a_tunnel_that_the_proxy_refuses_costs_nothing"),
    ("nothing is sent after the end", WIRE, "if self._ended:", "if False:", T_WIRE + "test_a_call_that_has_ended_sends_nothing_later"),
    ("the key does not follow a redirect", WIRE, "trust_env=False, follow_redirects=False", "trust_env=False, follow_redirects=True", T_WIRE + "test_no_redirect_is_followed_and_the_sentence_says_where_it_went"),
    ("an answer has a size", WIRE, "if len(self.body) + len(piece) > MAX_ANSWER:", "if len(self.body) > 20 << 20:\n                raise httpx.ReadError(\"late\")\n            if False:", T_WIRE + "test_an_answer_without_end_is_given_up"),
    ("litellm has no other way out", CLIENT, "HTTPHandler.create_client = lambda _: CLIENT", "pass", T_WIRE + "test_every_kind_of_provider_is_reached_through_our_transport"),
    ("the OpenAI library has no other way out", CLIENT, "litellm.client_session = CLIENT", "pass", T_WIRE + "test_every_kind_of_provider_is_reached_through_our_transport"),
    ("Ollama's window", CLIENT, "extra[\"num_ctx\"] = self._ollama_window", "pass", T_WIRE + "test_ollama_is_told_of_a_window_that_prompt_and_answer_fit_into"),
    ("no placeholder for a key", CLIENT, "if _NO_KEY_YET.search(", "if not True and (", T_WIRE + "test_what_is_plainly_no_key_is_said_before_the_night"),
    ("nothing leaves outside a call", WIRE, "if exchange is None:", "if exchange is None and False:", T_WIRE + "test_nothing_leaves_outside_a_call"),
    ("thinking is no answer", CLIENT, 'text = message.content or ""', 'text = message.content or getattr(message, "reasoning_content", None) or ""', "tests/e2e/test_llm.py::test_whatever_the_provider_does_the_ledger_is_right"),
    ("a cure is kept", CALLS, "        self._requests[model] = found\n", "", T_RESEARCHER + "test_a_cure_is_a_call_of_its_own_and_holds_for_the_run_and_after_resume"),
    ("a cure is remembered", CALLS, "if kind == _ADAPTED", "if False", T_RESEARCHER + "test_a_cure_is_a_call_of_its_own_and_holds_for_the_run_and_after_resume"),
    ("a refusal repeated is final", CALLS, "if cured < _CURES and", "if cured < 9 and", T_RESEARCHER + "test_a_refusal_that_is_repeated_is_final_and_the_fallback_is_asked"),
    ("a dearer bill is told", CALLS, "if usage.prompt + usage.completion > reserved or dearer_usd > 0:", "if False:", T_RESEARCHER + "test_a_bill_above_the_reservation_is_booked_and_told"),
    ("a cut prompt is told", CALLS, "usage.prompt < _CUT_BELOW * counted", "False", T_RESEARCHER + "test_a_prompt_that_was_cut_is_told_once"),
    ("no secret in the URL", "runner/store/config_checks.py", "if parts.username or parts.password or parts.query or parts.fragment:", "if False:", "tests/store/test_config_checks.py::test_a_secret_in_a_url_is_not_repeated"),
    ("a window that is too small", "runner/llm/model_check.py", "if window is not None and", "if False and", T_RESEARCHER + "test_a_model_whose_window_is_too_small_is_refused"),
    ("asked before the baseline", "runner/search/session.py", "call=options.call)", "call=False)", T_SESSION + "test_a_model_that_does_not_answer_is_said_before_the_baseline_and_before_a_resume"),
    ("no baseline without money", "runner/llm/model_check.py", "        raise CallOverBudget\n", "        pass\n", T_SESSION + "test_a_limit_that_no_answer_fits_into_ends_before_the_baseline"),
    ("silence is told first", LLM, "return replace(proposal, failure=SILENT) if proposal.failure in EXHAUSTED else proposal", "self._waited_for(context)\n        return replace(proposal, failure=SILENT) if proposal.failure in EXHAUSTED else proposal", T_RESEARCHER + "test_silence_is_told_before_anything_is_waited_for"),
    ("a wait ends when asked", LLM, "            if self._to_end():\n                return False\n", "", T_RESEARCHER + "test_a_wait_ends_with_the_search_and_when_the_run_is_asked_to_end"),
    ("a limit of trainings", "runner/search/loop.py", "index.trained + self._stage.waiting >= most", "len(index) > most", T_SESSION + "test_after_three_answers_that_cannot_be_used_the_optimiser_gets_its_turn"),
    ("nothing trained is no success", "runner/search/session.py", "raise NothingEvaluated(why)", "pass", T_SESSION + "test_a_night_of_answers_that_cannot_be_used_has_an_end_and_a_code_of_its_own"),
]  # fmt: skip
