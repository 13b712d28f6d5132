"""Traditional Chinese characters as simplified ones, so that each rule is written once.

Only characters that the rules of this floor and of the generators name: `indexer.analysis` folds every one, with a
library. tests/router/test_script.py says what is missing when a rule names a new character.
"""

from __future__ import annotations

_PAIRS = (
    "並并佈布佔占併并來来係系個个們们備备傢家傳传僅仅價价億亿優优兒儿內内兩两冊册別别刪删則则剛刚創创動动務务勢势區区"
    "協协厲厉參参叢丛員员問问啓启啟启單单嗎吗嘍喽嘗尝噹当嚐尝囉啰國国圍围圖图執执報报場场塊块壞坏夠够實实寫写寬宽將将"
    "專专對对導导屬属師师帶带幣币幫帮幾几庫库廢废張张強强彆别後后徑径從从復复愛爱態态慣惯憑凭憶忆應应戶户掛挂換换擁拥"
    "擇择擊击擔担據据擴扩擾扰敗败數数斷断於于昇升時时暫暂會会朮术東东査查條条棄弃構构標标樣样機机檔档檢检檯台權权歸归"
    "氣气決决沒没況况洩泄減减測测準准溝沟滾滚潰溃濾滤為为無无煩烦熱热爲为狀状獨独獲获現现環环產产異异當当發发監监盤盘"
    "確确碼码種种稱称穫获箇个節节範范簡简紀纪納纳級级細细紹绍終终組组結结絕绝絡络給给統统經经維维網网緊紧緒绪線线編编"
    "緩缓緻致縣县縮缩總总繫系繼继續续纔才義义聯联脩修脫脱腳脚臨临臺台與与舉举舊旧華华萬万蓆席薦荐處处號号術术裏里補补"
    "裝装裡里製制複复見见規规視视親亲覺觉計计訊讯記记訪访設设許许訴诉註注詞词詢询試试話话該该詳详誌志認认語语誤误說说"
    "説说誰谁調调談谈請请論论諮咨謂谓講讲謝谢譯译議议護护讀读變变讓让讚赞貫贯貴贵買买費费資资質质賴赖購购贊赞趕赶軟软"
    "較较載载輸输轉转辦办迴回逕径這这連连週周進进運运過过遠远適适遷迁選选還还邊边釋释針针錄录錢钱錯错錶表鍵键鍾钟鎖锁鏡镜"
    "鐘钟長长學学額额閉闭開开間间閤合關关陞升險险隻只離离雲云韆千響响頁页項项須须預预領领頭头頻频題题類类顯显風风颱台餘余馬马穩稳"
    "騰腾驗验驟骤體体髮发鬚须麗丽麵面麼么麽么點点齊齐齣出"
)
_SIMPLIFIED = str.maketrans(dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True)))


def simplified(text: str) -> str:
    """In simplified characters, as far as a rule looks for them; the length stays."""
    return text.translate(_SIMPLIFIED)
